"""What the statements of several modules share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, select


def select_columns(*columns: Any) -> Select[Any]:
    """SQLAlchemy's `select` for plain columns of SQLModel classes, whose attributes the type
    checker takes for values."""
    return select(*columns)


def copy_rows(connection: Connection, model: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Many new rows of one table by COPY, in the connection's transaction: a fraction of what
    INSERTs cost. All rows have the same keys; the model's own defaults fill what they leave out,
    the database's the rest. Not for JSON columns."""
    if not rows:
        return
    table: Table = model.__table__
    defaults = dict(_defaults(table, set(rows[0])))
    given = list(rows[0])
    names = ", ".join(f'"{name}"' for name in (*given, *defaults))
    driver = connection.connection.driver_connection
    assert driver is not None
    with (
        driver.cursor() as cursor,
        cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row([*(row[name] for name in given), *defaults.values()])


def _defaults(table: Table, given: set[str]) -> Iterator[tuple[str, Any]]:
    for column in table.columns:
        if column.name not in given and _has_value(column):
            yield column.name, column.default.arg  # type: ignore[union-attr]


def _has_value(column: Column[Any]) -> bool:
    return column.default is not None and column.default.is_scalar
