"""Reading request bodies within their limits."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from app.zstack.forms import BadRequest, parse_object

SMALL = 1 << 20
CLONE_SUBMISSION = 16 << 20
ARRIVES_WITHIN_S = 60.0
PARSED_AT_ONCE = 128 << 10  # a few milliseconds

# Sixteen MiB of numbers take seconds, and whoever sends them need not be signed in: nobody else
# waits for that, and one at a time is enough.
_parser = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parser")

# Of a request that came in another envelope.
INNER_BODY = web.RequestKey("inner_body", dict[str, Any])


class TooLarge(Exception):
    """The body is over its limit: answered 413."""


class TooSlow(Exception):
    """The body did not arrive in time: answered 408."""


async def read_object(request: web.Request, *, limit: int = SMALL) -> dict[str, Any]:
    """The body as a JSON object. Raises TooLarge, TooSlow, BadRequest."""
    inner = request.get(INNER_BODY)
    if inner is not None:
        return dict(inner)
    declared = request.content_length
    if declared is not None and declared > limit:
        raise TooLarge(_text(declared, limit))
    body = await _arrived(request)
    if len(body) > limit:
        raise TooLarge(_text(len(body), limit))
    if len(body) <= PARSED_AT_ONCE:
        return parse_object(body)
    return await asyncio.get_running_loop().run_in_executor(_parser, parse_object, body)


async def _arrived(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(ARRIVES_WITHIN_S):
            return await request.read()
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {ARRIVES_WITHIN_S:g} s") from None
    except (web.RequestPayloadError, ConnectionError) as error:
        # Not what its headers say, or the client is gone.
        raise BadRequest(f"the body cannot be read: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    """aiohttp's texts begin with their status, and go on in lines of their own."""
    return str(error).removeprefix("400, message:").strip().partition("\n")[0][:200]


def _text(size: int, limit: int) -> str:
    return f"the body has {size} bytes, at most {limit} are accepted"
