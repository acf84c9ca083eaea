"""Reads records: a query's page, or the rows of given uuids, in a constant number of statements
however many rows there are."""

import re
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, text

from app.domain.query import Hop, Query, Record, Shape
from app.store.accounts import Caller
from app.store.queries.select import Where
from app.store.queries.sources import SOURCES
from app.store.session import asked_twice

T = TypeVar("T")
PAGE = 5000  # uuids a statement


@dataclass(frozen=True, slots=True)
class Answer:
    records: list[Record]
    total: int | None  # where it was asked for


# Each asks for the rows of one statement after the other, whoever fetches them.
Statement = tuple[str, dict[str, Any]]
Rows = Sequence[Mapping[str, Any]]
Steps = Generator[Statement, Rows, T]


def run(connection: Connection, query: Query, shape: Shape, caller: Caller) -> Answer:
    """What the caller sees of what the query asks for, the oldest first where it names no order."""
    return _through(connection, _answer(query, shape, caller))


def load(connection: Connection, shape: Shape, uuids: Sequence[str]) -> list[Record]:
    """Whoever's they are, in the order of `uuids`; those that do not exist are left out."""
    return _through(connection, _loaded(shape, uuids))


async def run_at_once(pool: asyncpg.Pool, query: Query, shape: Shape, caller: Caller) -> Answer:
    """As `run`, past SQLAlchemy, which costs several times what these statements do."""

    async def run() -> Answer:
        async with pool.acquire() as connection:
            return await _on(connection, _answer(query, shape, caller))

    return await asked_twice(run)


async def _on(connection: asyncpg.Connection, steps: Steps[T]) -> T:
    try:
        statement = next(steps)
        while True:
            numbered, names = with_numbers(statement[0])
            values = [statement[1][name] for name in names]
            statement = steps.send(await connection.fetch(numbered, *values))
    except StopIteration as end:
        result: T = end.value
        return result


def _through(connection: Connection, steps: Steps[T]) -> T:
    try:
        statement, parameters = next(steps)
        while True:
            rows: Sequence[Any] = connection.execute(text(statement), parameters).mappings().all()
            statement, parameters = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


# As SQLAlchemy finds them: a name after one colon that follows no word, so no cast and no time.
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")


@lru_cache(maxsize=512)
def with_numbers(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2, … for its :names, and these in that order."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}"

    return _PARAMETER.sub(number, statement), tuple(names)


def _answer(query: Query, shape: Shape, caller: Caller) -> Steps[Answer]:
    where = Where(caller)
    rows = f"{SOURCES[shape.source].rows} t"
    found = f"{rows} WHERE {where.all_of(shape.source, 't', query.conditions)}"
    if query.group_by:
        first = f"t.{query.group_by}"
        found = (
            f"(SELECT DISTINCT ON ({first}) t.* FROM {found} "
            f"ORDER BY {first}, t.created_at, t.uuid) t"
        )
    total = None
    if query.with_total or query.count_only:
        (counted,) = yield f"SELECT count(*) AS total FROM {found}", where.parameters
        total = counted["total"]
    if query.count_only:
        return Answer([], total)
    page = yield (
        f"SELECT {_columns(shape)} FROM {found} ORDER BY {_order(query)} "
        "LIMIT :limit OFFSET :start",
        where.parameters | {"limit": query.limit, "start": query.start},
    )
    return Answer((yield from _with_lists(shape, page)), total)


def _loaded(shape: Shape, uuids: Sequence[str]) -> Steps[list[Record]]:
    records: dict[str, Record] = {}
    for start in range(0, len(uuids), PAGE):
        rows = yield _related(shape, "uuid", uuids[start : start + PAGE])
        records |= {r.values["uuid"]: r for r in (yield from _with_lists(shape, rows))}
    return [records[uuid] for uuid in uuids if uuid in records]


def _order(query: Query) -> str:
    """The uuid follows the other column's direction, so that one index serves both ways."""
    if query.sort is None:
        return "t.created_at, t.uuid"
    direction = "DESC" if query.sort.descending else "ASC"
    return f"t.{query.sort.column} {direction}, t.uuid {direction}"


def _columns(shape: Shape, *more: str) -> str:
    needed = shape.columns | {hop.own for hop, _ in shape.lists.values()} | set(more)
    return ", ".join(f"t.{column}" for column in sorted(needed))


def _related(shape: Shape, column: str, keys: Sequence[str]) -> Statement:
    source = SOURCES[shape.source]
    return (
        f"SELECT {_columns(shape, column)} FROM {source.rows} t "
        f"WHERE t.{column} = ANY(CAST(:keys AS text[])) ORDER BY {source.order}",
        {"keys": list(keys)},
    )


def _with_lists(shape: Shape, rows: Rows) -> Steps[list[Record]]:
    lists = {}
    if rows:
        for name, (hop, child) in shape.lists.items():
            lists[name] = yield from _by_owner(hop, child, rows)
    return [
        Record(
            dict(row), {name: found[row[shape.lists[name][0].own]] for name, found in lists.items()}
        )
        for row in rows
    ]


def _by_owner(hop: Hop, shape: Shape, owners: Rows) -> Steps[dict[Any, list[Record]]]:
    rows = yield _related(shape, hop.theirs, [owner[hop.own] for owner in owners])
    found: dict[Any, list[Record]] = defaultdict(list)
    for record in (yield from _with_lists(shape, rows)):
        found[record.values[hop.theirs]].append(record)
    return found
