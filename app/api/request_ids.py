"""Every answer names its request, as every log line of it does: `X-Request-Id`, the caller's own
where it is well formed. It is stored nowhere."""

import re
from uuid import uuid4

from aiohttp import web

from app.api.middlewares import Handler
from app.log_fields import log_fields

HEADER = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID = web.RequestKey("id", str)


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    given = request.headers.get(HEADER, "")
    request_id = given if _WELL_FORMED.fullmatch(given) else uuid4().hex
    request[_ID] = request_id
    named = request.match_info if _is_of_a_job(request) else {}
    with log_fields(request_id=request_id, job_uuid=named.get("uuid"), item_uuid=named.get("item")):
        return await handler(request)


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """As the headers are sent, so that streams have it too."""
    if _ID in request:
        response.headers[HEADER] = request[_ID]


def _is_of_a_job(request: web.Request) -> bool:
    resource = request.match_info.route.resource
    return resource is not None and "-jobs" in resource.canonical
