"""`/api/v1/session`: a browser signs in, asks who it is, signs out."""

from aiohttp import web

from app.api import browser_sessions
from app.api.bodies import read_object
from app.api.callers import caller_of_session
from app.api.responses import json_value
from app.api.sessions import check_account, check_user, mandatory_text, open_session
from app.api.state import state_of
from app.domain.errors import SessionInvalid
from app.store import accounts


async def sign_in(request: web.Request) -> web.Response:
    """`accountName`, `password` as it was typed, and `userName` for a user of the account.

    Raises AuthenticationFailed, TooManySessions; HTTPUnsupportedMediaType for what a form of
    another site could send.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send Content-Type: application/json")
    body = await read_object(request)
    account = mandatory_text(body, "accountName")
    sent = accounts.sha512(mandatory_text(body, "password"))
    user = mandatory_text(body, "userName") if body.get("userName") else None
    if user is None:
        identity = await check_account(request, account, sent)
    else:
        identity = await check_user(request, user, sent, account_name=account)
    session = await open_session(request, identity)
    response = await _shown(request, session.uuid)
    browser_sessions.set_cookie(response, session.uuid, state_of(request).settings)
    return response


async def who_am_i(request: web.Request) -> web.Response:
    return await _shown(request, _session_of(request))


async def sign_out(request: web.Request) -> web.Response:
    uuid = _session_of(request)
    await state_of(request).write(lambda c: accounts.close_session(c, uuid))
    response = web.Response(status=204)
    browser_sessions.drop_cookie(response)
    return response


def _session_of(request: web.Request) -> str:
    uuid = browser_sessions.session_of_cookie(request)
    if uuid is None:
        raise SessionInvalid("nobody is signed in here: POST /api/v1/session")
    return uuid


async def _shown(request: web.Request, session_uuid: str) -> web.Response:
    """Who holds the session, which slides. Raises SessionInvalid."""
    state = state_of(request)
    caller = await caller_of_session(state, session_uuid)
    if caller is None:
        raise SessionInvalid
    response = json_value(
        {
            "account": await state.read(lambda c: accounts.name_of(c, caller.account_uuid)),
            "accountUuid": caller.account_uuid,
            "isAdmin": caller.is_admin,
            "csrfToken": browser_sessions.csrf_token(session_uuid),
        }
    )
    response.headers["Cache-Control"] = "no-store"
    return response
