"""What streams are made of: looks at the database, each of which finds what is new since the last.

A source belongs to one feed, whose readers all get what its looks found: however many they are,
they cost one scan. It remembers what is open, for those who join later.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection

from app.api.streams.messages import News
from app.domain.states import JobState
from app.store import changes, item_views, job_views
from app.store.views import JobView

MOST_ITEMS = 500  # in one message
MOST_JOBS = 500  # that are open, the newest


class Source(Protocol):
    place: int  # everything below it has been told
    ended: bool  # nothing more will come

    def look(self, connection: Connection) -> list[News]:
        """What is new. Moves the place."""
        ...

    def now(self) -> list[News]:
        """What somebody who has seen nothing must know, as of the last look."""
        ...

    def missed(self, connection: Connection, *, since: int, part: int) -> list[News]:
        """What a reader whose place is `since` has not seen and `now` does not say, in parts that
        are counted from 0; an empty one is the last."""
        ...


class JobSource:
    """One job and its items. An item's end is an event; on its way it is known by its row's
    version, so that steps and bytes need no events."""

    def __init__(self, job_uuid: str) -> None:
        self.place = 0
        self.ended = False
        self._uuid = job_uuid
        self._job = b""
        self._items = _Items()

    def look(self, connection: Connection) -> list[News]:
        until = changes.horizon(connection)
        # Asked before the job, whose Finished is sent last.
        told_finished = changes.is_told_finished(connection, self._uuid, until=until)
        told = changes.items_told(connection, self._uuid, since=self.place or until, until=until)
        changed, items = self._changed_items(connection, told)
        job = job_views.load_job(connection, self._uuid, account_uuid=None)
        news, body = _pages(changed), orjson.dumps(job) if job else b""
        if body not in (b"", self._job):
            news.append(News("job", body))
        if job is None or (told_finished and job["state"] == JobState.FINISHED):
            self.ended = True
            news.append(self._end())
        # Only now: a look that fails on its way is taken again.
        self.place, self._job, self._items = until, body, items
        return news

    def now(self) -> list[News]:
        news = [News("job", self._job)] if self._job else []
        news += _pages(list(self._items.open.values()))
        return [*news, self._end()] if self.ended else news

    def missed(self, connection: Connection, *, since: int, part: int) -> list[News]:
        told = changes.items_told(connection, self._uuid, since=since, until=self.place)
        uuids = told[part * MOST_ITEMS : (part + 1) * MOST_ITEMS]
        return _pages([body for _, body in self._load(connection, uuids)])

    def _changed_items(
        self, connection: Connection, told: Sequence[str]
    ) -> tuple[list[bytes], "_Items"]:
        before, versions = self._items, changes.open_versions(connection, self._uuid)
        left = [uuid for uuid in before.versions if uuid not in versions]
        moved = [uuid for uuid, version in versions.items() if before.versions.get(uuid) != version]
        after = _Items(versions, dict(before.open), dict(before.ahead))
        is_told = set(told)
        changed: list[bytes] = []
        for uuid, body in self._load(connection, list(dict.fromkeys([*told, *left, *moved]))):
            if body not in (after.open.pop(uuid, None), after.ahead.pop(uuid, None)):
                changed.append(body)
            if uuid in versions:
                after.open[uuid] = body
            elif uuid not in is_told:
                after.ahead[uuid] = body
        return changed, after

    def _load(self, connection: Connection, uuids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for page in _slices(uuids):
            for item in item_views.load_these(connection, self._uuid, page):
                yield item["uuid"], orjson.dumps(item)

    def _end(self) -> News:
        return News("end", orjson.dumps({"uuid": self._uuid}))


@dataclass(frozen=True, slots=True)
class _Items:
    """What was sent of a job's items, by uuid."""

    versions: dict[str, str] = field(default_factory=dict)  # of those on their way
    open: dict[str, bytes] = field(default_factory=dict)
    ahead: dict[str, bytes] = field(default_factory=dict)  # ended, and their event still unread


class JobsSource:
    """Every job, each message for those who may see it. Jobs that are open are compared with what
    was sent of them; what a job told itself is an event."""

    def __init__(self) -> None:
        self.place = 0
        self.ended = False
        self._open: dict[str, News] = {}

    def look(self, connection: Connection) -> list[News]:
        until = changes.horizon(connection)
        told = changes.jobs_told(connection, since=self.place or until, until=until)
        uuids = changes.open_jobs(connection, most=MOST_JOBS)
        left = [uuid for uuid in self._open if uuid not in uuids]
        sent, still_open, news = self._open, {}, []
        for one, job in self._load(connection, dict.fromkeys([*told, *left, *uuids])):
            if one != sent.get(job["uuid"]):
                news.append(one)
            if job["state"] != JobState.FINISHED:
                still_open[job["uuid"]] = one
        self.place, self._open = until, still_open
        return news

    def now(self) -> list[News]:
        return list(self._open.values())

    def missed(self, connection: Connection, *, since: int, part: int) -> list[News]:
        if part:
            return []
        told = changes.jobs_told(connection, since=since, until=self.place)
        return [one for one, job in self._load(connection, told) if job["uuid"] not in self._open]

    def _load(self, connection: Connection, uuids: Iterable[str]) -> Iterator[tuple[News, JobView]]:
        for account_uuid, job in job_views.load_these(connection, list(uuids)):
            yield News("job", orjson.dumps(job), account_uuid), job


def _pages(items: Sequence[bytes]) -> list[News]:
    return [News("items", b'{"items":[%b]}' % b",".join(page)) for page in _slices(items)]


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(values), MOST_ITEMS):
        yield values[first : first + MOST_ITEMS]
