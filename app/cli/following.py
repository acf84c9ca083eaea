"""A job as it goes on: looks at it until it has ended, whatever becomes of the connection."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus

from app.cli.client import Client, Json
from app.cli.failures import ApiError, NoAnswer
from app.domain.errors import NotReady

_LOOK_EVERY_S = 0.25
_LOOK_EVERY_AT_LARGE_S = 1.0
# Of a job with more names only those that run or failed are asked for, where there are no events.
_LARGE = 1000
_AGAIN_AFTER_S = (0.5, 1.0, 2.0, 5.0)
_PATIENCE_S = 600.0
_ENDED = frozenset({"Succeeded", "Failed", "Canceled"})
# No such path, something between that does not let a stream through, or too many readers.
_NO_EVENTS = frozenset(
    {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    job: Json
    open: list[Json]  # items that have begun and not ended
    ended: list[Json]  # items that ended since the look before


@dataclass(slots=True)
class _Seen:
    """What earlier looks, of any connection, have told."""

    last_event: str | None = None
    streams: bool = True  # until the server says otherwise
    job: Json | None = None
    open: dict[str, Json] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def take(self, items: list[Json]) -> list[Json]:
        """Those that have ended and were not told before."""
        new = []
        for item in items:
            uuid, state = item["uuid"], item["state"]
            if state in _ENDED:
                self.open.pop(uuid, None)
                if uuid not in self.ended:
                    self.ended.add(uuid)
                    new.append(item)
            elif state != "Waiting":
                self.open[uuid] = item
            else:
                self.open.pop(uuid, None)
        return new


async def follow(client: Client, job_uuid: str, say: Callable[[str], None]) -> AsyncGenerator[Look]:
    """Its looks, the last of them at the finished job. What `say` gets is told once for each time
    that the server is away. Raises ApiError for a refusal, and for a server that is away too
    long."""
    seen = _Seen()
    patience = _Patience(say)
    while True:
        looks = _streamed if seen.streams else _polled
        try:
            async with aclosing(looks(client, job_uuid, seen)) as following:
                async for look in following:
                    patience.renew()
                    yield look
                    if look.job["state"] == "Finished":
                        return
        except ApiError as exc:
            if seen.streams and exc.status in _NO_EVENTS and exc.code != NotReady.code:
                seen.streams = False
            elif isinstance(exc, NoAnswer):
                await patience.wait(exc)
            else:
                raise


async def _streamed(client: Client, job_uuid: str, seen: _Seen) -> AsyncGenerator[Look]:
    """By server-sent events."""
    events = client.events(job_uuid, seen.last_event)
    async with aclosing(events) as stream:
        async for event_id, event in stream:
            seen.last_event = event_id or seen.last_event
            seen.job = event.get("job", seen.job)
            ended = seen.take(event["items"]["items"]) if "items" in event else []
            if seen.job is None:
                continue
            finished = seen.job["state"] == "Finished"
            # A finished job's last items may come after it: only its end is the end.
            if not finished or "end" in event:
                yield Look(seen.job, _in_order(seen), ended)
            elif ended:
                yield Look({**seen.job, "state": "Finishing"}, _in_order(seen), ended)
    raise NoAnswer(f"{client.server.url} closed the connection")


async def _polled(client: Client, job_uuid: str, seen: _Seen) -> AsyncGenerator[Look]:
    """By asking again and again: cheap while nothing changes."""
    tag = None
    while True:
        job, tag = await client.job_unless(job_uuid, tag)
        large = (job or seen.job or {"total": 0})["total"] > _LARGE
        if job is not None:
            items = await (_few_items if large else _all_items)(client, job, seen)
            ended = seen.take(items)
            seen.job = job
            yield Look(job, _in_order(seen), ended)
        await asyncio.sleep(_LOOK_EVERY_AT_LARGE_S if large else _LOOK_EVERY_S)


async def _all_items(client: Client, job: Json, seen: _Seen) -> list[Json]:  # noqa: ARG001
    return await client.items(job["uuid"])


async def _few_items(client: Client, job: Json, seen: _Seen) -> list[Json]:
    seen.open = {}
    items = await client.items(job["uuid"], state="Running")
    failed_before = (seen.job or {}).get("failed", 0)
    if job["failed"] > failed_before:
        items += await client.items(job["uuid"], state="Failed")
    return items


def _in_order(seen: _Seen) -> list[Json]:
    return sorted(seen.open.values(), key=lambda item: int(item["ordinal"]))


class _Patience:
    """How long a silent server is asked again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.renew()

    def renew(self) -> None:
        self._tries = 0
        self._since_s: float | None = None

    async def wait(self, exc: NoAnswer) -> None:
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s > _PATIENCE_S:
            raise NoAnswer(f"{exc}, for ten minutes now; the job goes on without being watched")
        if self._tries == 1:  # one that ends a stream in passing is not worth a word
            self._say(f"{exc}; the job goes on, and it is asked again")
        await asyncio.sleep(_AGAIN_AFTER_S[min(self._tries, len(_AGAIN_AFTER_S) - 1)])
        self._tries += 1
