"""Who calls: one door for every request that needs credentials."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from app.api.browser_sessions import session_of_cookie
from app.api.paths import api_path
from app.api.state import ApiState, state_of
from app.domain.errors import AuthenticationFailed, SessionInvalid
from app.store import access_keys, accounts
from app.store.accounts import Caller
from app.zstack.headers import Session, Signed, credential, shown
from app.zstack.signatures import check_date, matches, texts_to_sign

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credential:
    """A session that nobody has looked up yet, or who signed the request."""

    session_uuid: str | None
    signer: Caller | None = None


async def authenticate(request: web.Request) -> Credential:
    """What the Authorization header holds, or without one the browser's cookie. A signature is
    verified here; a session costs no round trip: whoever writes or reads for it looks it up by the
    way.

    Raises BadRequest for the headers' form, TooSkewed for an old Date, AuthenticationFailed for an
    unknown access key or a wrong signature, KeyFileUnusable; HTTPForbidden for a cookie without
    its token.
    """
    if "Authorization" not in request.headers:
        cookie = session_of_cookie(request)
        if cookie is not None:
            return Credential(cookie)
    given = credential(request.headers)
    if isinstance(given, Session):
        return Credential(given.uuid)
    check_date(given.date, datetime.now(UTC))
    return Credential(None, await _signer(request, given))


async def require_caller(request: web.Request) -> Caller:
    """The caller, whose session slides. Raises as `authenticate`, and SessionInvalid for an
    unknown or expired session."""
    found = await authenticate(request)
    if found.signer is not None:
        return found.signer
    caller = await caller_of_session(state_of(request), found.session_uuid or "")
    if caller is None:
        raise SessionInvalid
    return caller


async def caller_of_session(state: ApiState, uuid: str) -> Caller | None:
    return await accounts.caller_of(state.pool, uuid, timeout_s=state.settings.session_timeout_s)


async def _signer(request: web.Request, given: Signed) -> Caller:
    state = state_of(request)
    shown_id = shown(given.access_key_id)
    known = None
    if given.access_key_id.isascii():
        known = await state.read(lambda c: access_keys.find(c, given.access_key_id))
    if known is None:
        raise AuthenticationFailed(f"access key id[{shown_id}] is not known")
    key_file = access_keys.open_key_file(state.settings.key_file)
    if known.key_file != key_file.fingerprint:
        log.warning(
            "an access key was made with another key file than this one",
            extra={"access_key_id": shown_id, "key_file": str(key_file.path)},
        )
        raise AuthenticationFailed(
            f"access key id[{shown_id}] was made with another key file than this server's; the "
            "same file must be on every machine, or make a new access key"
        )
    texts = texts_to_sign(
        method=request.method,
        date=given.date,
        uris=(api_path(request), request.path),
        content_md5=request.headers.get("Content-MD5", ""),
        content_type=request.headers.get("Content-Type", ""),
    )
    if not matches(key_file.secret(given.access_key_id, known.salt), given.signature, texts):
        raise AuthenticationFailed(
            f"wrong accessKey signature for access key id[{shown_id}]: it is "
            "base64(HMAC-SHA1(secret, METHOD + LF + Date + LF + path from /v1))"
        )
    return Caller(known.account_uuid, known.is_admin, known.user_uuid)
