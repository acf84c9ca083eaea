"""Jobs and items as they change, as server-sent events."""

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from aiohttp import web
from sqlalchemy.exc import DBAPIError

from app.api.asked import MOST_DIGITS, EventsAsked
from app.api.callers import require_caller
from app.api.clone_jobs import load_job
from app.api.responses import problem
from app.api.state import state_of
from app.api.streams.feed import Feeds, Reader, TooManyReaders
from app.api.streams.messages import BEGIN, HEARTBEAT, placed
from app.api.streams.sources import JobSource, JobsSource, Source
from app.domain.errors import CloneError
from app.store.session import POOL_AWAY
from app.zstack.forms import BadRequest
from app.zstack.signatures import TooSkewed

HEARTBEAT_S = 15.0
SLOW_S = 30.0  # for one message to be taken
ASK_AGAIN_S = 60.0  # whether the reader may still read

FEEDS = web.AppKey("feeds", Feeds)


async def job_events(request: web.Request) -> web.StreamResponse:
    caller = await require_caller(request)
    uuid = str((await load_job(request, caller, request.match_info["uuid"]))["uuid"])
    return await _stream(request, uuid, lambda: JobSource(uuid), account_uuid=None)


async def all_events(request: web.Request) -> web.StreamResponse:
    caller = await require_caller(request)
    account_uuid = None if caller.is_admin else caller.account_uuid
    return await _stream(request, "", JobsSource, account_uuid=account_uuid)


async def _stream(
    request: web.Request, key: str, source: Callable[[], Source], *, account_uuid: str | None
) -> web.StreamResponse:
    since = _place(request)
    reader = Reader(account_uuid, let_go=lambda: _cut(request))
    feeds, state = request.app[FEEDS], state_of(request)
    try:
        async with feeds.reading(state, key, source, reader) as found:
            response = await _begin(request)
            with suppress(ConnectionError, TimeoutError):
                if since is not None:
                    await _send_missed(request, response, found, since, account_uuid)
                await _send(request, response, reader)
                await response.write_eof()
            return response
    except TooManyReaders:
        full = problem(
            503, "Service Unavailable", "too many streams are open here; close some, or poll"
        )
        full.headers["Retry-After"] = "30"
        return full


async def _begin(request: web.Request) -> web.StreamResponse:
    headers = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",  # a proxy passes each message on
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(BEGIN)
    return response


async def _send_missed(
    request: web.Request,
    response: web.StreamResponse,
    source: Source,
    since: int,
    account_uuid: str | None,
) -> None:
    """A place beyond all that happened is another database's: then all of it."""
    since = since if since <= source.place else 0
    for part in itertools.count():
        read = partial(source.missed, since=since, part=part)
        news = await state_of(request).read(read)
        if not news:
            return
        for message in placed(news, since=since, until=since):
            if account_uuid in (None, message.account_uuid):
                await _write(request, response, message.body)


async def _send(request: web.Request, response: web.StreamResponse, reader: Reader) -> None:
    asked_s = time.monotonic()
    while (body := await reader.next(wait_s=HEARTBEAT_S)) is not None:
        await _write(request, response, body or HEARTBEAT)
        if time.monotonic() - asked_s > ASK_AGAIN_S:
            if not await _may_still_read(request):
                return
            asked_s = time.monotonic()


async def _write(request: web.Request, response: web.StreamResponse, body: bytes) -> None:
    try:
        await asyncio.wait_for(response.write(body), SLOW_S)
    except TimeoutError:
        _cut(request)
        raise


async def _may_still_read(request: web.Request) -> bool:
    """Its session has neither ended nor expired; reading keeps it alive. A signature is good for
    as long as its Date is: then the reader signs anew."""
    try:
        await require_caller(request)
    except (CloneError, BadRequest, TooSkewed):
        return False
    except (DBAPIError, *POOL_AWAY):
        return True
    return True


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _place(request: web.Request) -> int | None:
    """Where the reader was: Last-Event-ID, as browsers send it, or `?lastEventId=`."""
    header = request.headers.get("Last-Event-ID", "").strip()
    if header.isascii() and header.isdigit() and len(header) <= MOST_DIGITS:
        return int(header)
    return EventsAsked.of(request).lastEventId
