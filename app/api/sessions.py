"""Log in, log out, validate: answered at once, without a job. Renewing is a job, as on ZStack."""

from typing import Any

from aiohttp import web

from app.api.bodies import read_object
from app.api.done_jobs import Call, Done, answer_as_job
from app.api.paths import api_path
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import ResourceNotFound
from app.store import accounts
from app.store.accounts import Identity, SessionView
from app.zstack.forms import BadRequest, action_of
from app.zstack.identity import SCHEMAS, session_inventory

YEAR_S = 365 * 86400


async def log_in_by_account(request: web.Request) -> web.Response:
    body = await read_object(request)
    _, parameters = action_of(body, ["logInByAccount"], path=api_path(request))
    name, sent = mandatory_text(parameters, "accountName"), mandatory_text(parameters, "password")
    return await _signed_in(request, await check_account(request, name, sent))


async def log_in_by_user(request: web.Request) -> web.Response:
    """A user of the account that `accountName` or `accountUuid` names."""
    body = await read_object(request)
    _, parameters = action_of(body, ["logInByUser"], path=api_path(request))
    user, sent = mandatory_text(parameters, "userName"), mandatory_text(parameters, "password")
    if parameters.get("accountUuid") is None:
        name = mandatory_text(parameters, "accountName")
        identity = await check_user(request, user, sent, account_name=name)
    else:
        uuid = mandatory_text(parameters, "accountUuid")
        identity = await check_user(request, user, sent, account_uuid=uuid)
    return await _signed_in(request, identity)


async def check_account(request: web.Request, name: str, sent: str) -> Identity:
    """Raises AuthenticationFailed, also where there were too many wrong attempts."""
    state = state_of(request)
    async with state.logins.attempt(name, request.remote or ""):
        who, stored = await state.read(lambda c: accounts.password_of(c, name))
        return await state.hash(accounts.check_password, who, sent, stored)


async def check_user(
    request: web.Request,
    user: str,
    sent: str,
    *,
    account_name: str | None = None,
    account_uuid: str | None = None,
) -> Identity:
    """As `check_account`, for the user of that account."""
    state = state_of(request)
    async with state.logins.attempt(f"{account_uuid or account_name}/{user}", request.remote or ""):
        who, stored = await state.read(
            lambda c: accounts.user_password_of(
                c, user, account_name=account_name, account_uuid=account_uuid
            )
        )
        return await state.hash(accounts.check_password, who, sent, stored)


async def open_session(request: web.Request, identity: Identity) -> SessionView:
    """Raises TooManySessions."""
    state = state_of(request)
    timeout_s = state.settings.session_timeout_s
    return await state.write(lambda c: accounts.open_session(c, identity, timeout_s=timeout_s))


async def _signed_in(request: web.Request, identity: Identity) -> web.Response:
    session = await open_session(request, identity)
    return json_value({"inventory": session_inventory(session)})


async def log_out(request: web.Request) -> web.Response:
    uuid = request.match_info["uuid"]
    await state_of(request).write(lambda c: accounts.close_session(c, uuid))
    return json_value({})


async def validate(request: web.Request) -> web.Response:
    """Only booleans in the body: Go decodes it into a map of them."""
    uuid = request.match_info["uuid"]
    valid = await state_of(request).read(lambda c: accounts.is_valid(c, uuid))
    return json_value({"valid": valid})


async def renew(request: web.Request) -> web.Response:
    body = await read_object(request)
    _, parameters = action_of(body, ["renewSession"], path=api_path(request))
    uuid = request.match_info["uuid"]
    return await answer_as_job(request, renew_session, parameters | {"sessionUuid": uuid})


def renew_session(call: Call) -> Done:
    """It lives `duration` seconds from now; as long as a new one where that is left out."""
    members = call.members("APIRenewSessionMsg")
    uuid = members.text("sessionUuid")
    duration_s = members.optional_number("duration", 60, YEAR_S)
    session = accounts.renew_session(
        call.connection,
        uuid,
        life_s=duration_s or call.settings.session_timeout_s + accounts.SLIDE_S,
        account_uuid=call.scope,
    )
    if session is None:
        raise ResourceNotFound(
            f"invalid field[sessionUuid], resource[uuid:{uuid}, type:SessionVO] not found"
        )
    return Done(session_inventory(session), SCHEMAS["session"])


def mandatory_text(parameters: dict[str, Any], field: str) -> str:
    value = parameters.get(field)
    if not isinstance(value, str) or "\x00" in value:
        raise BadRequest(f"field[{field}] is mandatory, and a string")
    return value
