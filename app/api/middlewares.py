"""Errors and compression, once for all handlers."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_response import ContentCoding

from app.api import responses
from app.api.bodies import TooLarge, TooSlow
from app.api.paths import OWN_PREFIX, api_path, route_of
from app.domain.errors import (
    AuthenticationFailed,
    CloneError,
    InternalError,
    NotReady,
    PermissionDenied,
    ResourceNotFound,
    SessionInvalid,
)
from app.store.session import is_away
from app.zstack.forms import BadRequest
from app.zstack.headers import NoCredentials, check_host
from app.zstack.signatures import TooSkewed

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COMPRESS_FROM_BYTES = 1024
ASK_AGAIN_S = 5  # where the database does not answer
_OWN_STATUS: dict[type[CloneError], int] = {
    InternalError: 500,
    NotReady: 503,
    AuthenticationFailed: 401,
    SessionInvalid: 401,
    PermissionDenied: 403,
    ResourceNotFound: 404,
}
# Raised by handlers with what is wrong as their text.
_OUR_REFUSALS = (
    web.HTTPConflict,
    web.HTTPForbidden,
    web.HTTPUnprocessableEntity,
    web.HTTPUnsupportedMediaType,
)
_REFUSED: dict[type[Exception], tuple[int, str]] = {
    BadRequest: (400, "Bad Request"),
    TooSkewed: (403, "Forbidden"),
    TooSlow: (408, "Request Timeout"),
    TooLarge: (413, "Content Too Large"),
}
# ZStack's words for a method that a path does not have.
_KIND = {"POST": "creational", "GET": "query", "DELETE": "delete", "PUT": "action"}


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure in the shape of the surface that was called."""
    own = request.path.startswith(OWN_PREFIX)
    try:
        check_host(request.headers.get("Host"))
        return await handler(request)
    except NoCredentials as error:
        # A browser whose cookie has gone must learn that it is to sign in.
        status, title = (401, "Unauthorized") if own else _REFUSED[BadRequest]
        return _refused(status, title, str(error), own=own)
    except tuple(_REFUSED) as error:
        status, title = _REFUSED[type(error)]
        return _refused(status, title, str(error), own=own)
    except web.HTTPRequestEntityTooLarge:
        return _refused(413, "Content Too Large", "the body is too large", own=own)
    except CloneError as error:
        return _failed(error, own=own)
    except web.HTTPMethodNotAllowed as error:
        return _method_not_allowed(request, error, own=own)
    except web.HTTPNotFound:
        return _refused(404, "Not Found", f"no api mapping to {api_path(request)}", own=own)
    except _OUR_REFUSALS as error:
        return _refused(error.status, error.reason, error.text or "", own=own)
    except web.HTTPException:
        raise
    except Exception as error:
        return _unexpected(request, error, own=own)


def _refused(status: int, title: str, text: str, *, own: bool) -> web.Response:
    if own:
        return responses.problem(status, title, text)
    return responses.plain_text(text, status=status)


def _failed(error: CloneError, *, own: bool) -> web.Response:
    if not own:
        return responses.zstack_error(error)
    return responses.error_problem(_OWN_STATUS.get(type(error), 400), error)


def _unexpected(request: web.Request, error: Exception, *, own: bool) -> web.Response:
    """Without its database every request ends here: a line for each is enough."""
    # Not its path, which may be a session's.
    where = {"method": request.method, "route": route_of(request)}
    if not is_away(error):
        log.error("request failed", extra=where, exc_info=error)
        return _failed(InternalError(), own=own)
    log.warning("request without a database", extra=where | {"error": str(error)})
    text = f"the database does not answer; ask again in {ASK_AGAIN_S} seconds"
    response = _failed(NotReady(text), own=own)
    response.headers["Retry-After"] = str(ASK_AGAIN_S)
    return response


def _method_not_allowed(
    request: web.Request, error: web.HTTPMethodNotAllowed, *, own: bool
) -> web.Response:
    kind = _KIND.get(request.method)
    if "/api-jobs/" in request.path:
        text = "only GET method is allowed for querying job status"
        return responses.plain_text(text, status=405)
    if own or kind is None:
        allowed = ", ".join(sorted(error.allowed_methods))
        return _refused(405, "Method Not Allowed", f"this path allows {allowed}", own=own)
    return responses.plain_text(
        f"No {kind} API found for the path[{api_path(request)}]", status=400
    )


@web.middleware
async def compression(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only for who names gzip: Go's client sends `*` and cannot decompress."""
    response = await handler(request)
    if (
        isinstance(response, web.Response)
        and isinstance(response.body, bytes)
        and len(response.body) >= COMPRESS_FROM_BYTES
        and _names_gzip(request.headers.get("Accept-Encoding", ""))
    ):
        response.enable_compression(ContentCoding.gzip)
    return response


def _names_gzip(accept_encoding: str) -> bool:
    for coding in accept_encoding.lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False
