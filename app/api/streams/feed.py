"""One poller for each thing that is watched, shared by all who watch it.

A reader has a queue of messages, which are the same bytes for all readers; whoever does not read
them is let go and may come back with its place.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from app.api.state import ApiState
from app.api.streams.messages import Message, placed
from app.api.streams.sources import Source
from app.store.session import is_away

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
MOST_BEHIND_BYTES = 32 << 20  # of one reader
MOST_READERS = 1000  # of this process
LOOKS_AT_ONCE = 2  # of all feeds: the rest of the API keeps its connections


class TooManyReaders(Exception):
    """More than this process serves."""


class Reader:
    """One reader's place in a feed. `account_uuid` None reads everybody's."""

    def __init__(self, account_uuid: str | None, let_go: Callable[[], None]) -> None:
        self._account_uuid = account_uuid
        self._let_go = let_go
        self._messages: deque[bytes] = deque()
        self._behind_bytes = 0
        self._woken = asyncio.Event()
        self._over = False

    def put(self, message: Message) -> None:
        if self._account_uuid not in (None, message.account_uuid) or self._over:
            return
        self._messages.append(message.body)
        self._behind_bytes += len(message.body)
        self._woken.set()
        if self._behind_bytes > MOST_BEHIND_BYTES:
            self._messages.clear()
            self.end()
            self._let_go()

    def end(self) -> None:
        """Nothing comes after what is there."""
        self._over = True
        self._woken.set()

    async def next(self, *, wait_s: float) -> bytes | None:
        """The next message; b"" where there was none for so long, None at the end."""
        if not self._messages and not self._over:
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait_s)
        if self._messages:
            body = self._messages.popleft()
            self._behind_bytes -= len(body)
            return body
        return None if self._over else b""


class Feed:
    def __init__(self, state: ApiState, source: Source, looks: asyncio.Semaphore) -> None:
        self.source = source
        self.readers: set[Reader] = set()
        self.opened = 0  # by how many readers, those too that wait for the first look
        self._state = state
        self._looks = looks
        self._stopped = asyncio.Event()
        self._looked = asyncio.get_running_loop().create_future()
        self._looked.add_done_callback(lambda looked: looked.exception())
        self.task = asyncio.create_task(self._run())

    @property
    def is_over(self) -> bool:
        return self._stopped.is_set()

    async def looked(self) -> None:
        """Raises what the first look raised."""
        await asyncio.shield(self._looked)

    def join(self, reader: Reader) -> None:
        """It gets what is now, and from here on what is new."""
        place = self.source.place
        for message in placed(self.source.now(), since=place, until=place):
            reader.put(message)
        self.readers.add(reader)
        if self.is_over:
            reader.end()

    def stop(self) -> None:
        self._stopped.set()
        for reader in self.readers:
            reader.end()

    async def _run(self) -> None:
        try:
            await self._look()
        except Exception as error:  # whoever waits for it gets it
            self.stop()
            self._looked.set_exception(error)
            return
        if self.source.ended:
            self.stop()
        self._looked.set_result(None)
        while not await self._is_stopped_within(LOOK_EVERY_S):
            try:
                await self._look()
            except Exception as error:  # the database is away: readers wait for it
                unknown = None if is_away(error) else error
                log.warning(
                    "a stream could not look at its jobs",
                    extra={"error": str(error)},
                    exc_info=unknown,
                )
            if self.source.ended:
                self.stop()

    async def _is_stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)
        return self.is_over

    async def _look(self) -> None:
        since = self.source.place
        async with self._looks:
            news = await self._state.read(self.source.look)
        for message in placed(news, since=since, until=self.source.place):
            for reader in self.readers:
                reader.put(message)


class Feeds:
    """The feeds of this process, each for as long as somebody reads it."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)

    @asynccontextmanager
    async def reading(
        self, state: ApiState, key: str, source: Callable[[], Source], reader: Reader
    ) -> AsyncIterator[Source]:
        """Raises TooManyReaders, and what the first look at the source raises."""
        if sum(feed.opened for feed in self._feeds.values()) >= MOST_READERS:
            raise TooManyReaders
        feed = self._feeds.get(key)
        if feed is None or feed.is_over:
            feed = self._feeds[key] = Feed(state, source(), self._looks)
            self._tasks.add(feed.task)
            feed.task.add_done_callback(self._tasks.discard)
        feed.opened += 1
        try:
            await feed.looked()
            feed.join(reader)
            yield feed.source
        finally:
            feed.readers.discard(reader)
            feed.opened -= 1
            if not feed.opened:
                feed.stop()
                if self._feeds.get(key) is feed:
                    del self._feeds[key]

    async def stop(self) -> None:
        for feed in self._feeds.values():
            feed.stop()
        await asyncio.gather(*self._tasks)
