"""`vmclone limits`: how much may be under way at once, changed while everything runs."""

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.operators import on_database

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.store.models import LimitName, LimitScope

E = TypeVar("E", bound=StrEnum)

DEFAULT_WORD = "default"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_VALUE = re.compile(r"(\d{1,18})\s*(?:([KMGT])i?B?)?(?:/s)?", re.IGNORECASE)

limits = typer.Typer(
    help="Clones at once per host, source and account; full copies and bytes a second per storage.",
    invoke_without_command=True,
)

Scope = Annotated[str, typer.Argument(help="host, primaryStorage, source or account")]
Resource = Annotated[str, typer.Argument(help=f"A name, a uuid, or {DEFAULT_WORD} for all others.")]
Name = Annotated[str, typer.Argument(help="builds, fullCopies or bytesPerSecond")]


@limits.callback()
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List them."""
    if context.invoked_subcommand is not None:
        return
    from app.store.limits import shown

    rows = on_database(shown)
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not rows:
        typer.echo("no limits are set: what VMCLONE_HOST_SLOTS and its like say holds")
    for row in rows:
        resource = row["resource"] or row["uuid"] or DEFAULT_WORD
        typer.echo(f"{row['scope']:<15} {resource:<34} {row['name']:<15} {row['value']}")


@limits.command("set")
def set_limit(
    scope: Scope,
    resource: Resource,
    name: Name,
    value: Annotated[str, typer.Argument(help="A number; bytes may have a unit, as in 200MiB.")],
) -> None:
    """Limit it from now on; what is under way is not stopped."""
    from app.store.limits import put

    number = number_of(value)
    on_database(lambda c: put(c, *_which(c, scope, resource, name), number))


@limits.command("unset")
def unset_limit(scope: Scope, resource: Resource, name: Name) -> None:
    """Back to the default."""
    from app.domain.errors import ResourceNotFound
    from app.store.limits import remove

    if not on_database(lambda c: remove(c, *_which(c, scope, resource, name))):
        raise ResourceNotFound(
            f"{scope} {resource} has no limit {name}; `vmclone limits` lists all"
        )


def _which(
    connection: "Connection", scope: str, resource: str, name: str
) -> "tuple[LimitScope, str, LimitName]":
    from app.store.limits import check_name, find_resource
    from app.store.models import LimitName, LimitScope
    from app.store.models.limits import DEFAULT

    kind = _one_of(LimitScope, scope, "scope")
    limit = _one_of(LimitName, name, "limit")
    check_name(kind, limit)
    uuid = DEFAULT if resource == DEFAULT_WORD else find_resource(connection, kind, resource)
    return kind, uuid, limit


def _one_of(kind: type[E], given: str, what: str) -> E:
    from app.domain.errors import InvalidArgument

    try:
        return kind(given)
    except ValueError:
        raise InvalidArgument(f"{given} is no {what}; one of: {', '.join(kind)}") from None


def number_of(text: str) -> int:
    from app.domain.errors import InvalidArgument

    found = _VALUE.fullmatch(text.strip())
    if found is None:
        raise InvalidArgument(f"{text} is not a number, as 8 or 200MiB")
    return int(found[1]) * _UNITS[(found[2] or "").upper()]
