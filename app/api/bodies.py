"""Reading request bodies within their limits."""

from typing import Any

from aiohttp import web

from app.zstack.forms import parse_object

SMALL = 1 << 20
CLONE_SUBMISSION = 16 << 20


# Of a request that came in another envelope.
INNER_BODY = web.RequestKey("inner_body", dict[str, Any])


class TooLarge(Exception):
    """The body is over its limit: answered 413."""


async def read_object(request: web.Request, *, limit: int = SMALL) -> dict[str, Any]:
    """The body as a JSON object. Raises TooLarge, BadRequest."""
    inner = request.get(INNER_BODY)
    if inner is not None:
        return dict(inner)
    declared = request.content_length
    if declared is not None and declared > limit:
        raise TooLarge(_text(declared, limit))
    body = await request.read()
    if len(body) > limit:
        raise TooLarge(_text(len(body), limit))
    return parse_object(body)


def _text(size: int, limit: int) -> str:
    return f"the body has {size} bytes, at most {limit} are accepted"
