"""Reads records: a query's page, or the rows of given uuids, in a constant number of statements
however many rows there are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from app.domain.query import Hop, Query, Record, Shape
from app.store.accounts import Caller
from app.store.queries.select import Where
from app.store.queries.sources import SOURCES

PAGE = 5000  # uuids a statement


@dataclass(frozen=True, slots=True)
class Answer:
    records: list[Record]
    total: int | None  # where it was asked for


def run(connection: Connection, query: Query, shape: Shape, caller: Caller) -> Answer:
    """What the caller sees of what the query asks for, the oldest first where it names no order."""
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
        total = connection.scalar(text(f"SELECT count(*) FROM {found}"), where.parameters)
    if query.count_only:
        return Answer([], total)
    page = connection.execute(
        text(
            f"SELECT {_columns(shape)} FROM {found} ORDER BY {_order(query)} "
            "LIMIT :limit OFFSET :start"
        ),
        where.parameters | {"limit": query.limit, "start": query.start},
    )
    return Answer(_with_lists(connection, shape, page.mappings().all()), total)


def load(connection: Connection, shape: Shape, uuids: Sequence[str]) -> list[Record]:
    """Whoever's they are, in the order of `uuids`; those that do not exist are left out."""
    records: dict[str, Record] = {}
    for start in range(0, len(uuids), PAGE):
        rows = _related(connection, shape, "uuid", uuids[start : start + PAGE])
        records |= {r.values["uuid"]: r for r in _with_lists(connection, shape, rows)}
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


def _related(
    connection: Connection, shape: Shape, column: str, keys: Sequence[str]
) -> Sequence[RowMapping]:
    source = SOURCES[shape.source]
    return (
        connection.execute(
            text(
                f"SELECT {_columns(shape, column)} FROM {source.rows} t "
                f"WHERE t.{column} = ANY(:keys) ORDER BY {source.order}"
            ),
            {"keys": list(keys)},
        )
        .mappings()
        .all()
    )


def _with_lists(connection: Connection, shape: Shape, rows: Sequence[RowMapping]) -> list[Record]:
    lists = {
        name: _by_owner(connection, hop, child, rows)
        for name, (hop, child) in shape.lists.items()
        if rows
    }
    return [
        Record(
            dict(row), {name: found[row[shape.lists[name][0].own]] for name, found in lists.items()}
        )
        for row in rows
    ]


def _by_owner(
    connection: Connection, hop: Hop, shape: Shape, owners: Sequence[RowMapping]
) -> dict[Any, list[Record]]:
    rows = _related(connection, shape, hop.theirs, [owner[hop.own] for owner in owners])
    found: dict[Any, list[Record]] = defaultdict(list)
    for record in _with_lists(connection, shape, rows):
        found[record.values[hop.theirs]].append(record)
    return found
