"""Small changes that ZStack answers with a job: done, or refused, before the 202 is sent.

The change and its finished job are one transaction, so whoever polls finds both or neither.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web
from sqlalchemy import Connection

from app.api.callers import Credential, authenticate, caller_of_session
from app.api.state import state_of
from app.api.submissions import accepted, too_many
from app.domain.errors import CloneError, PermissionDenied, SessionInvalid
from app.settings import Settings
from app.store import accounts, jobs
from app.store.accounts import Caller
from app.store.jobs import DoneJob
from app.zstack.forms import BadRequest, check_types
from app.zstack.headers import JobHeaders, job_headers
from app.zstack.members import Members
from app.zstack.results import error_result

TIMEOUT_S = 1800  # ZStack's for small calls


@dataclass(frozen=True, slots=True)
class Call:
    """One operation by one caller, in the transaction that records its job."""

    connection: Connection
    settings: Settings
    caller: Caller
    session_uuid: str | None
    parameters: Mapping[str, Any]
    password_hash: str | None  # of the parameter `password`, which is not among them

    def members(self, message: str) -> Members:
        return Members(self.parameters, message)

    @property
    def scope(self) -> str | None:
        """The account whose things the caller may change; None: everybody's."""
        return None if self.caller.is_admin else self.caller.account_uuid

    def require_account(self) -> None:
        """Raises PermissionDenied where a user of an account calls."""
        if self.caller.is_user:
            raise PermissionDenied(
                "a user may not do this; sign in as its account with logInByAccount"
            )

    def require_admin(self) -> None:
        self.require_account()
        if not self.caller.is_admin:
            raise PermissionDenied("only an administrator may do this")


@dataclass(frozen=True, slots=True)
class Done:
    inventory: dict[str, Any] | None = None
    schema: str | None = None  # the inventory's class


Operation = Callable[[Call], Done]


def perform(call: Call, operation: Operation) -> tuple[Done | None, CloneError | None]:
    """What came of it; nothing of what was refused stays."""
    savepoint = call.connection.begin_nested()
    try:
        done = operation(call)
    except CloneError as error:
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return done, None


async def answer_as_job(
    request: web.Request, operation: Operation, parameters: dict[str, Any]
) -> web.Response:
    """202 with the location of a job that has ended already."""
    credential = await authenticate(request)
    check(parameters)
    headers = job_headers(request.headers)
    if state_of(request).refused_sessions.is_spent(request.remote or ""):
        return too_many()
    await do(request, credential, operation, parameters, headers)
    return accepted(request, headers.job_uuid, _timeout_s(headers) * 1000)


def check(parameters: dict[str, Any]) -> None:
    """ZStack's early checks. Raises BadRequest."""
    check_types(
        parameters,
        booleans=("toPublic", "all"),
        integers=("value", "duration"),
        lists=("resourceUuids", "accountUuids", "systemTags", "userTags"),
    )


async def do(
    request: web.Request,
    credential: Credential,
    operation: Operation,
    parameters: dict[str, Any],
    headers: JobHeaders,
) -> None:
    """It is done, or refused, and its finished job there to be polled. Raises BadRequest for a
    job's uuid that is taken."""
    state = state_of(request)
    caller = credential.signer
    if caller is None:
        caller = await caller_of_session(state, credential.session_uuid or "")
    if caller is None:
        state.refused_sessions.spend(request.remote or "")
    password = parameters.pop("password", None)
    hashed = None
    if caller is not None and password is not None:
        if not isinstance(password, str) or not password:
            raise BadRequest("field[password] must be a text")
        hashed = await state.hash(accounts.hash_password, password)

    def work(connection: Connection) -> None:
        done: Done | None = None
        error: CloneError | None = SessionInvalid()
        if caller is not None:
            done, error = perform(
                Call(
                    connection,
                    state.settings,
                    caller,
                    credential.session_uuid,
                    parameters,
                    hashed,
                ),
                operation,
            )
        job = _job(headers, request, caller, done, error)
        if not jobs.record_done(connection, job):
            raise BadRequest(f"Duplicate job uuid[{headers.job_uuid}]")

    await state.write(work)


def _timeout_s(headers: JobHeaders) -> int:
    return headers.timeout_s or TIMEOUT_S


def _job(
    headers: JobHeaders,
    request: web.Request,
    caller: Caller | None,
    done: Done | None,
    error: CloneError | None,
) -> DoneJob:
    inventory = done.inventory if done else None
    schema = {"inventory": done.schema} if done and done.schema else {}
    body = {"success": True} if inventory is None else {"inventory": inventory, "success": True}
    return DoneJob(
        uuid=headers.job_uuid,
        account_uuid=caller.account_uuid if caller else None,
        body=error_result(error.error_code) if error else orjson.dumps(body),
        schema=None if error else orjson.dumps(schema),
        error=error.error_code if error else None,
        timeout_ms=_timeout_s(headers) * 1000,
        web_hook=headers.web_hook,
        wants_schema=headers.wants_schema,
        client_ip=headers.request_ip or request.remote,
    )
