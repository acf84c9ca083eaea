"""Clone jobs on our own surface: submitted, listed, looked at."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from app.api.api_jobs import wait_for_end
from app.api.asked import ItemsAsked, JobsAsked, SubmissionAsked, cursor_of
from app.api.bodies import CLONE_SUBMISSION, read_object
from app.api.callers import require_caller
from app.api.preferences import preferred_wait_s
from app.api.previews import preview_clone_job
from app.api.responses import json_value, tagged
from app.api.state import state_of
from app.api.submissions import publish_accepted, without_passwords
from app.domain.clone_job import CloneJobForm, parse_clone_job
from app.domain.errors import ResourceNotFound, SessionInvalid
from app.domain.states import JobState
from app.store import intake, item_views, job_views
from app.store.accounts import Caller
from app.store.intake import IdempotencyKey, Receipt, Replay, Submission
from app.store.job_views import JobFilter
from app.store.session import POOL_AWAY
from app.store.views import ItemsPage, JobsPage, JobView
from app.zstack.forms import BadRequest
from app.zstack.headers import job_headers
from app.zstack.results import error_result

MAX_KEY_LENGTH = 255

_REFUSAL = error_result(SessionInvalid().error_code)


async def create_clone_job(request: web.Request) -> web.Response:
    """The form is judged at once, everything else behind the queue. 202 with the job, or 200 once
    it has ended within `Prefer: wait=N`; with `?dryRun=true` 200 with the plan alone."""
    body = await read_object(request, limit=CLONE_SUBMISSION)
    caller = await require_caller(request)
    asked = SubmissionAsked.of(request)
    form = parse_clone_job(body)
    if asked.dryRun:
        return await preview_clone_job(request, caller, form)
    return await answered(request, caller, await accept(request, caller, form, fingerprint_of=body))


@dataclass(frozen=True, slots=True)
class Accepted:
    job_uuid: str
    key: IdempotencyKey | None = None
    replay: Replay | None = None  # the key made a job before


async def accept(
    request: web.Request,
    caller: Caller,
    form: CloneJobForm,
    *,
    fingerprint_of: Any,
    retry_of: str | None = None,
    account_uuid: str | None = None,
) -> Accepted:
    """A job of this form, or the one that the caller's Idempotency-Key made before. It is
    `account_uuid`'s, by default the caller's."""
    state = state_of(request)
    headers = job_headers(request.headers)
    timeout_s = headers.timeout_s or state.settings.job_timeout_s
    submission = Submission(
        job_uuid=headers.job_uuid,
        session_uuid=None,
        account_uuid=account_uuid or caller.account_uuid,
        vm_instance_uuid=form.vm_instance_uuid,
        request=orjson.dumps(await without_passwords(form.parameters)).decode(),
        requested=len(form.parameters["names"]),
        timeout_ms=timeout_s * 1000,
        web_hook=headers.web_hook,
        wants_schema=headers.wants_schema,
        client_ip=headers.request_ip or request.remote,
        priority=form.priority,
        policy=orjson.dumps(form.policy).decode() if form.policy else None,
        retry_of=retry_of,
    )
    key = _idempotency_key(request, caller, fingerprint_of)
    receipt: Receipt | Replay
    timeout = state.settings.session_timeout_s
    if key is None:
        receipt = await intake.accept(
            state.pool, submission, session_timeout_s=timeout, refusal=_REFUSAL
        )
    else:
        receipt = await intake.accept_once(
            state.pool, submission, key, session_timeout_s=timeout, refusal=_REFUSAL
        )
    if isinstance(receipt, Replay):
        return Accepted(receipt.job_uuid, key, receipt)
    if not receipt.is_new:
        raise BadRequest(f"Duplicate job uuid[{submission.job_uuid}]")
    publish_accepted(request, submission.job_uuid)
    return Accepted(submission.job_uuid)


async def accepted_before(request: web.Request, caller: Caller) -> Accepted | None:
    """By the Idempotency-Key of a request without a body."""
    key = _idempotency_key(request, caller, None)
    found = key and await intake.replay_of(state_of(request).pool, key)
    return Accepted(found.job_uuid, key, found) if found else None


async def answered(request: web.Request, caller: Caller, accepted: Accepted) -> web.Response:
    key, replay = accepted.key, accepted.replay
    if key and replay:
        return await _replayed(request, caller, key, replay)
    return await answer(request, caller, accepted.job_uuid)


async def answer(request: web.Request, caller: Caller, job_uuid: str) -> web.Response:
    wait_s = preferred_wait_s(request.headers)
    if wait_s:
        with suppress(*POOL_AWAY):
            await wait_for_end(state_of(request).pool, job_uuid, wait_s)
    job = await load_job(request, caller, job_uuid)
    ended = wait_s and job["state"] == JobState.FINISHED
    response = json_value(job, status=200 if ended else 202)
    response.headers["Location"] = f"/api/v1/clone-jobs/{job_uuid}"
    return response


async def _replayed(
    request: web.Request, caller: Caller, key: IdempotencyKey, replay: Replay
) -> web.Response:
    if not replay.same:
        raise web.HTTPUnprocessableEntity(
            text=f"Idempotency-Key {key.key!r} was used for another request, whose job is "
            f"{replay.job_uuid}; take a new key for a new request"
        )
    response = await answer(request, caller, replay.job_uuid)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _idempotency_key(request: web.Request, caller: Caller, body: Any) -> IdempotencyKey | None:
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    key = given.strip().strip('"')
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise BadRequest(
            f"Invalid header[Idempotency-Key], it must have 1 to {MAX_KEY_LENGTH} printable ASCII "
            "characters"
        )
    canonical = orjson.dumps([request.path, body], option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(caller.account_uuid, key, hashlib.sha256(canonical).hexdigest())


async def get_clone_job(request: web.Request) -> web.Response:
    """With an ETag; 304 while nothing has changed."""
    caller = await require_caller(request)
    return tagged(request, await load_job(request, caller, request.match_info["uuid"]))


async def list_clone_jobs(request: web.Request) -> web.Response:
    """Newest first; `next` is the following page's address, or null."""
    caller = await require_caller(request)
    asked = JobsAsked.of(request)
    wanted = JobFilter(
        account_uuid=None if caller.is_admin else caller.account_uuid,
        account_name=asked.account,
        state=asked.state,
        outcome=asked.outcome,
        vm_instance_uuid=asked.vmInstanceUuid,
        created_after=asked.createdAfter,
        created_before=asked.createdBefore,
    )
    jobs, last = await state_of(request).read(
        lambda c: job_views.load_jobs(c, wanted, after=asked.place, limit=asked.limit)
    )
    following = None
    if last is not None:
        query = {**request.query, "cursor": cursor_of(last)}
        following = f"{request.path}?{urlencode(query)}"
    page: JobsPage = {"clone-jobs": jobs, "next": following}
    return tagged(request, page)


async def list_items(request: web.Request) -> web.Response:
    """In request order; `next` is the `after` of the following page, or null."""
    caller = await require_caller(request)
    asked = ItemsAsked.of(request)
    job = await load_job(request, caller, request.match_info["uuid"])
    items = await state_of(request).read(
        lambda c: item_views.load_items(
            c, job["uuid"], after=asked.after, limit=asked.limit, state=asked.state
        )
    )
    following = items[-1]["ordinal"] if len(items) == asked.limit else None
    page: ItemsPage = {"items": items, "next": following}
    return tagged(request, page)


async def load_job(request: web.Request, caller: Caller, uuid: str) -> JobView:
    """Raises ResourceNotFound, also for another account's."""
    account = None if caller.is_admin else caller.account_uuid
    job = await state_of(request).read(lambda c: job_views.load_job(c, uuid, account_uuid=account))
    if job is None:
        raise ResourceNotFound(f"there is no clone job {uuid}; finished ones are kept 30 days")
    return job
