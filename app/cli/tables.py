"""Rows for people: a table as wide as the terminal, or plain columns for a pipe."""

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.operators import plain_columns

SHORT = 8  # of a uuid, enough to say which
_WHOLE = frozenset({"job", "uuid", "name", "source", "done", "ip", "begun"})
_ROOMY = 110  # columns of a terminal that has room for whole uuids

_STYLES = {
    "Succeeded": "green",
    "PartiallySucceeded": "yellow",
    "Failed": "red",
    "Canceled": "yellow",
    "Running": "cyan",
}


def show_table(
    shown: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
) -> None:
    """Cells that do not fit end with an ellipsis; in a pipe all are whole."""
    if not shown.is_terminal:
        for line in plain_columns([headings, *rows]):
            shown.out(line)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(
            heading,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if heading in right else "left",
            # What says which one it is stays whole as long as anything does.
            min_width=SHORT if heading in _WHOLE else None,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    shown.print(table)


def uuid_cell(uuid: str | None, shown: Console) -> str:
    """Whole where there is room; its beginning is as good for every verb."""
    whole = not shown.is_terminal or shown.width >= _ROOMY
    return (uuid or "") if whole else (uuid or "")[:SHORT]


def time_cell(moment: str | None) -> str:
    """In this machine's own time; without its date where that is today."""
    if not moment:
        return ""
    local = datetime.fromisoformat(moment).astimezone()
    today = local.date() == datetime.now(local.tzinfo).date()
    return f"{local:%H:%M:%S}" if today else f"{local:%Y-%m-%d %H:%M}"
