"""Who calls, for what is answered at once."""

from aiohttp import web

from app.api.state import state_of
from app.domain.errors import SessionInvalid
from app.store import accounts
from app.store.accounts import Caller
from app.zstack.headers import session_uuid


async def require_caller(request: web.Request) -> Caller:
    """The session's account; the session slides. Raises BadRequest for the header's form and
    SessionInvalid for an unknown or expired session."""
    state = state_of(request)
    uuid = session_uuid(request.headers)
    caller = await state.write(
        lambda c: accounts.caller_of(c, uuid, timeout_s=state.settings.session_timeout_s)
    )
    if caller is None:
        raise SessionInvalid
    return caller
