"""What operators' verbs share: the database, and how rows are shown."""

import json
from collections.abc import Callable, Mapping, Sequence
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
    widths = {
        name: max(len(str(row[name] or "")) for row in rows) for name in (rows[0] if rows else ())
    }
    for row in rows:
        cells = (f"{row[name] if row[name] is not None else '':<{widths[name]}}" for name in row)
        typer.echo("  ".join(cells).rstrip())


def show_one(row: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(row, indent=2, ensure_ascii=False) if as_json else text)
