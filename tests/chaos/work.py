"""What the database says is under way, read through every outage."""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

OPEN = """
SELECT uuid, state::text, fence, owner, published_at, lease_until FROM items
WHERE state NOT IN ('Succeeded', 'Failed', 'Canceled', 'Waiting')
UNION ALL
SELECT uuid, state::text, fence, owner, published_at, lease_until FROM base_sets
WHERE state IN ('Wanted', 'Making')
"""
UNFINISHED = """
SELECT 'job ' || uuid || ' is ' || state || COALESCE(', ' || wait_reason::text, '') FROM jobs
WHERE state <> 'Finished'
UNION ALL
SELECT 'item ' || uuid || ' is ' || state || COALESCE(', ' || wait_reason::text, '')
    || ', fence ' || fence || COALESCE(', ' || (error->>'details'), '') FROM items
WHERE state NOT IN ('Succeeded', 'Failed', 'Canceled')
UNION ALL
SELECT 'base set ' || uuid || ' is ' || state FROM base_sets
WHERE state IN ('Wanted', 'Making', 'Deleting')
"""


@dataclass(frozen=True, slots=True)
class Work:
    """One open item or base set."""

    uuid: str
    state: str
    fence: int
    owner: str | None
    published_at: datetime | None
    lease_until: datetime | None


Moved = Callable[[Work, Work], bool]


def taken_up(before: Work, now: Work) -> bool:
    """Somebody claimed it since, or it left its state."""
    return (now.state, now.fence) != (before.state, before.fence)


def published_again(before: Work, now: Work) -> bool:
    return taken_up(before, now) or now.published_at != before.published_at


def alive_again(before: Work, now: Work) -> bool:
    """Its holder beats again, or somebody else has it."""
    return taken_up(before, now) or now.lease_until != before.lease_until


def held_by(work: Iterable[Work], pids: frozenset[int]) -> list[Work]:
    owners = {f"{socket.gethostname()}:{pid}" for pid in pids}
    return [w for w in work if w.owner in owners]


def pid_of(work: Work) -> int | None:
    return int(work.owner.rpartition(":")[2]) if work.owner else None


class Ledger:
    """Reads the database; None where it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.Connection[object] | None = None

    def open_work(self) -> list[Work] | None:
        try:
            with self._connected().cursor(row_factory=class_row(Work)) as cursor:
                return cursor.execute(OPEN).fetchall()
        except psycopg.Error:
            return None

    def unfinished(self) -> list[str] | None:
        try:
            with self._connected().cursor() as cursor:
                return [str(row[0]) for row in cursor.execute(UNFINISHED).fetchall()]  # type: ignore[index]
        except psycopg.Error:
            return None

    def _connected(self) -> "psycopg.Connection[object]":
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=2,
                options="-c statement_timeout=2000",
            )
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
