"""What operators' verbs share: the database, and how rows are shown."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


def on_database(work: "Callable[[Connection], T]") -> T:
    """In one transaction."""
    from app.endpoints import database_url
    from app.settings import Settings
    from app.store.session import Database

    database = Database(database_url(Settings()))
    try:
        return database.run(work)
    finally:
        database.close()


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """A table, or a JSON list."""
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    cells = [[str(value) if value is not None else "" for value in row.values()] for row in rows]
    for line in plain_columns(cells):
        typer.echo(line)


def plain_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line each, as wide as its columns need."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def show_one(row: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(row, indent=2, ensure_ascii=False) if as_json else text)
