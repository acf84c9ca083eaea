"""A job is submitted so that it is made once and can be found, whatever becomes of the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

from app.cli.client import Json
from app.cli.failures import NoAnswer
from app.cli.people import note

_AGAIN_AFTER_S = 1.0
_KEY = "Idempotency-Key"

Send = Callable[[Mapping[str, str]], Awaitable[Json]]


async def submit_once(send: Send, headers: Mapping[str, str]) -> Json:
    """What `send` answers with these headers: its job, sent once more where the answer was lost.

    Raises ApiError; NoAnswer, and Ctrl-C, only after saying how to find out what became of it.
    """
    headers, way_out = _named(headers)
    try:
        try:
            return await send(headers)
        except NoAnswer:
            await asyncio.sleep(_AGAIN_AFTER_S)
            return await send(headers)
    except NoAnswer as exc:
        raise NoAnswer(f"{exc}; the job may have been accepted: {way_out}") from exc
    except asyncio.CancelledError:
        note(f"the job may have been accepted: {way_out}")
        raise


def _named(headers: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
    """A caller's own key may stand for an earlier job, whose uuid is not ours to choose."""
    if _KEY in headers:
        return headers, f"the same command again, with its key {headers[_KEY]}, answers with it"
    uuid = uuid4().hex
    return {**headers, "X-Job-UUID": uuid, _KEY: uuid}, f"`vmclone watch {uuid}` tells"
