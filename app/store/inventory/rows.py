"""Rows that are made or updated, and conflicts that only the database can see."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, or_, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel

from app.store.inventory.values import Kind
from app.store.models.columns import CLOCK

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why a declared entry cannot be written."""

    kind: Kind
    name: str
    text: str


class InventoryConflict(Exception):
    """What the document declares contradicts what the database holds."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        super().__init__("; ".join(f"{c.kind} '{c.name}': {c.text}" for c in conflicts))
        self.conflicts = tuple(conflicts)


def table_of(model: type[SQLModel]) -> Table:
    return model.__table__  # type: ignore[attr-defined,no-any-return]


def upsert(
    connection: Connection,
    model: type[SQLModel],
    rows: Sequence[Row],
    *,
    key: Sequence[str] = ("uuid",),
    once: Collection[str] = (),
) -> None:
    """Each row exists with these values; one that had them already is not touched. `key` tells
    which row is meant; columns in `once` are written when it is made and never again."""
    if not rows:
        return
    table = table_of(model)
    statement = insert(table)
    moving = [name for name in rows[0] if name not in {*key, *once}]
    if moving:
        statement = statement.on_conflict_do_update(
            index_elements=key,
            set_={name: statement.excluded[name] for name in moving} | {"last_op_at": CLOCK},
            where=or_(
                *(table.c[name].is_distinct_from(statement.excluded[name]) for name in moving)
            ),
        )
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement, rows)


def replace(
    connection: Connection,
    model: type[SQLModel],
    rows: Sequence[Row],
    *,
    owner: str,
    owners: Sequence[str],
    key: Sequence[str] = ("uuid",),
    once: Collection[str] = (),
) -> None:
    """Of the rows whose column `owner` is one of `owners` exactly these are left."""
    table = table_of(model)
    connection.execute(
        delete(table).where(
            table.c[owner].in_(owners),
            tuple_(*(table.c[name] for name in key)).not_in(
                [tuple(row[name] for name in key) for row in rows]
            ),
        )
    )
    upsert(connection, model, rows, key=key, once=once)
