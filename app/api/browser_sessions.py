"""Sessions of browsers: the cookie that stands for `Authorization`, and what guards it.

A browser sends a cookie along with requests that other sites make it send. So whatever changes
something must also carry a token that only our own pages can read. The token is derived from the
session: nothing is stored, and any API process can check it.
"""

import hashlib
import hmac

from aiohttp import web

from app.settings import Settings

COOKIE = "vmclone_session"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD"})


def session_of_cookie(request: web.Request) -> str | None:
    """The session's uuid, which nobody has looked up yet; None without a cookie, or for one that
    names no session of ours: octal escapes in it may stand for any byte.

    Raises HTTPForbidden for a request that may change something and lacks the session's token.
    """
    uuid = request.cookies.get(COOKIE, "")
    if not uuid.isascii() or not uuid.isprintable():
        return None
    if uuid and request.method not in _SAFE:
        _check_token(request, uuid)
    return uuid or None


def csrf_token(session_uuid: str) -> str:
    """Nobody learns the session from it."""
    return hmac.digest(session_uuid.encode(), b"vmclone csrf token", hashlib.sha256).hex()


def set_cookie(response: web.StreamResponse, session_uuid: str, settings: Settings) -> None:
    """It goes when the browser ends; the session itself slides and expires on the server."""
    response.set_cookie(
        COOKIE,
        session_uuid,
        httponly=True,
        samesite="Strict",
        secure=(settings.public_url or "").startswith("https://"),
        path="/",
    )


def drop_cookie(response: web.StreamResponse) -> None:
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")


def _check_token(request: web.Request, session_uuid: str) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(errors="replace"), csrf_token(session_uuid).encode()):
        raise web.HTTPForbidden(
            text=f"with a cookie, {request.method} needs the header {CSRF_HEADER} with the "
            "session's csrfToken (GET /api/v1/session); clients that are no browsers send "
            "Authorization instead"
        )
