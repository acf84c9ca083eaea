"""API messages that become jobs of the engine: one row, one message, 202."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web

from app.api import responses
from app.api.api_jobs import finished_answer, location_of, wait_for_end
from app.api.callers import Credential, authenticate
from app.api.preferences import preferred_wait_s
from app.api.state import state_of
from app.domain.errors import SessionInvalid
from app.log_fields import add_log_fields
from app.queue import TaskName
from app.store import accounts, intake
from app.store.intake import Submission
from app.store.session import POOL_AWAY
from app.zstack.forms import BadRequest
from app.zstack.headers import JobHeaders, job_headers
from app.zstack.messages import CLONE, Message
from app.zstack.passwords import hash_passwords, holds_password
from app.zstack.results import error_result

log = logging.getLogger(__name__)

_REFUSAL = error_result(SessionInvalid().error_code)


async def submit(
    request: web.Request, message: Message, parameters: dict[str, Any]
) -> web.Response:
    """Checks in ZStack's order: the body's action was found, now the session's header, types, job
    headers. What the parameters say is judged behind the queue."""
    credential = await authenticate(request)
    message.check(parameters)
    headers = job_headers(request.headers)
    state = state_of(request)
    address = request.remote or ""
    if state.refused_sessions.is_spent(address):
        return too_many()
    parameters = await without_passwords(parameters)
    submission = _submission(request, credential, message, parameters, headers)
    receipt = await intake.accept(
        state.pool,
        submission,
        session_timeout_s=state.settings.session_timeout_s,
        refusal=_REFUSAL,
    )
    if not receipt.is_new:
        raise BadRequest(f"Duplicate job uuid[{submission.job_uuid}]")
    if receipt.account_uuid is None:
        state.refused_sessions.spend(address)
    else:
        publish_accepted(request, submission.job_uuid)
        # Accepted is accepted, whatever becomes of the database from here on.
        session = credential.session_uuid
        if receipt.slides and session is not None:
            with suppress(*POOL_AWAY):
                await accounts.slide(
                    state.pool, session, timeout_s=state.settings.session_timeout_s
                )
    return await _answer(request, submission)


async def without_passwords(parameters: dict[str, Any]) -> dict[str, Any]:
    """As they may be stored."""
    if not holds_password(parameters):
        return parameters
    return await asyncio.to_thread(hash_passwords, parameters)


def publish_accepted(request: web.Request, job_uuid: str) -> None:
    """Best effort, off the event loop: what is lost the sweeper publishes."""
    add_log_fields(job_uuid=job_uuid)
    log.info("job accepted")
    state_of(request).publisher.publish(TaskName.START, job_uuid)


def _submission(
    request: web.Request,
    credential: Credential,
    message: Message,
    parameters: dict[str, Any],
    headers: JobHeaders,
) -> Submission:
    assert message.kind is not None
    names = parameters.get("names")
    settings = state_of(request).settings
    timeout_s = headers.timeout_s or message.timeout_s or settings.job_timeout_s
    return Submission(
        job_uuid=headers.job_uuid,
        session_uuid=credential.session_uuid,
        account_uuid=credential.signer.account_uuid if credential.signer else None,
        kind=message.kind,
        vm_instance_uuid=parameters[message.key],
        request=orjson.dumps(parameters).decode(),
        requested=len(names) if isinstance(names, list) else int(message is not CLONE),
        timeout_ms=timeout_s * 1000,
        web_hook=headers.web_hook,
        wants_schema=headers.wants_schema,
        client_ip=headers.request_ip or request.remote,
    )


async def _answer(request: web.Request, submission: Submission) -> web.Response:
    """202 with the location; with `Prefer: wait=N` the result itself if it comes in time."""
    wait_s = preferred_wait_s(request.headers)
    if wait_s:
        view = None
        with suppress(*POOL_AWAY):
            view = await wait_for_end(state_of(request).pool, submission.job_uuid, wait_s)
        if view is not None and view.status is not None:
            return finished_answer(view, with_schema=submission.wants_schema)
    return accepted(request, submission.job_uuid, submission.timeout_ms)


def accepted(request: web.Request, job_uuid: str, timeout_ms: int) -> web.Response:
    location = location_of(request, job_uuid)
    response = responses.json_value({"location": location, "apiTimeout": timeout_ms}, status=202)
    response.headers["Location"] = location
    return response


def too_many() -> web.Response:
    response = responses.plain_text(
        "too many submissions with an invalid session from this address; log in, then try again",
        status=429,
    )
    response.headers["Retry-After"] = "10"
    return response
