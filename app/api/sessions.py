"""Log in, log out, validate: answered at once, without the queue."""

from typing import Any

from aiohttp import web

from app.api.bodies import read_object
from app.api.paths import api_path
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import AuthenticationFailed
from app.store import accounts
from app.store.accounts import SessionView
from app.zstack.dates import format_date
from app.zstack.forms import BadRequest, action_of


async def log_in_by_account(request: web.Request) -> web.Response:
    body = await read_object(request)
    _, parameters = action_of(body, ["logInByAccount"], path=api_path(request))
    name, sent = _text(parameters, "accountName"), _text(parameters, "password")
    state = state_of(request)
    uuid, stored = await state.read(lambda c: accounts.password_of(c, name))
    account_uuid = await state.hash(accounts.check_password, uuid, sent, stored)
    session = await state.write(
        lambda c: accounts.open_session(c, account_uuid, timeout_s=state.settings.session_timeout_s)
    )
    return json_value({"inventory": _inventory(session)})


async def log_in_by_user(request: web.Request) -> web.Response:
    """There are no users beside accounts in this version: nobody's password is right."""
    body = await read_object(request)
    action_of(body, ["logInByUser"], path=api_path(request))
    raise AuthenticationFailed


async def log_out(request: web.Request) -> web.Response:
    uuid = request.match_info["uuid"]
    await state_of(request).write(lambda c: accounts.close_session(c, uuid))
    return json_value({})


async def validate(request: web.Request) -> web.Response:
    """Only booleans in the body: Go decodes it into a map of them."""
    uuid = request.match_info["uuid"]
    valid = await state_of(request).read(lambda c: accounts.is_valid(c, uuid))
    return json_value({"valid": valid})


def _text(parameters: dict[str, Any], field: str) -> str:
    value = parameters.get(field)
    if not isinstance(value, str) or "\x00" in value:
        raise BadRequest(f"field[{field}] is mandatory, and a string")
    return value


def _inventory(session: SessionView) -> dict[str, Any]:
    return {
        "uuid": session.uuid,
        "accountUuid": session.account_uuid,
        "userUuid": session.user_uuid,
        "expiredDate": format_date(session.expires_at),
        "createDate": format_date(session.created_at),
        "noSessionEvaluation": False,
    }
