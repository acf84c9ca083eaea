"""`vmclone inventory`: declare, enable, disable and remove what clones are made from and of."""

import importlib
import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

inventory = typer.Typer(
    help="Zones, clusters, hosts, storage, networks and source VMs.", no_args_is_help=True
)


# The words of app.store.inventory.values.Kind, which would make `vmclone --help` import the tables.
class Switchable(StrEnum):
    HOST = "host"
    STORAGE = "storage"
    NETWORK = "network"


class Removable(StrEnum):
    ZONE = "zone"
    CLUSTER = "cluster"
    HOST = "host"
    STORAGE = "storage"
    NETWORK = "network"
    IMAGE = "image"
    OFFERING = "offering"
    VM = "vm"


@inventory.command("apply")
def apply_file(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A YAML document; docs/inventory.md has each key."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the uuids as JSON.")] = False,
) -> None:
    """Make or update what the file declares; print the uuids."""
    _show(
        _run(lambda commands, database, settings: commands.apply(database, settings, file)),
        as_json=as_json,
    )


@inventory.command("discover")
def discover(
    host: Annotated[
        str | None,
        typer.Option("--host", help="This host's name in the inventory; default: its own."),
    ] = None,
    uri: Annotated[
        str, typer.Option("--uri", help="This host's own libvirt, its system instance.")
    ] = "qemu:///system",
    at_once: Annotated[
        bool, typer.Option("--apply", help="Apply the document instead of printing it.")
    ] = False,
) -> None:
    """Print what this libvirt host has as a document for `apply`. The host is not changed."""

    def work(commands: Any, database: Any, settings: Any) -> tuple[Any, Any]:
        found = commands.discover(database, host, uri)
        return found, commands.apply(database, settings, found) if at_once else None

    found, applied = _run(work, "workers.ops.discover.commands")
    if applied is None:
        typer.echo(found.text, nl=False)
        return
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    _show(applied, as_json=False)


def _show(applied: Any, *, as_json: bool) -> None:
    for warning in applied.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        entries = [{"kind": k, "name": n, "uuid": u} for k, n, u in applied.entries]
        typer.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    rows = [("kind", "name", "uuid"), *applied.entries]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for kind, name, uuid in rows:
        typer.echo(f"{kind:<{widths[0]}}  {name:<{widths[1]}}  {uuid}")


@inventory.command("set")
def set_state(
    kind: Switchable,
    name: str,
    change: Annotated[str, typer.Argument(metavar="state=Enabled|Disabled")],
) -> None:
    """Let new clones use it, or not. What is there already stays."""
    key, _, value = change.partition("=")
    if key != "state" or value not in {"Enabled", "Disabled"}:
        raise typer.BadParameter(f"'{change}' is neither state=Enabled nor state=Disabled")
    _run(lambda commands, database, _: commands.set_state(database, kind, name, value))
    typer.echo(f"{kind} '{name}' is {value}")


@inventory.command("remove")
def remove(kind: Removable, name: str) -> None:
    """Forget what nothing uses. Files are not touched."""
    _run(lambda commands, database, _: commands.remove(database, kind, name))
    typer.echo(f"{kind} '{name}' is removed")


def _run(
    command: Callable[[Any, Any, Any], Any], module: str = "workers.ops.inventory.commands"
) -> Any:
    """Call it with the commands of the worker's side, the database and the settings."""
    from app.endpoints import database_url
    from app.settings import Settings
    from app.store.session import Database

    commands = importlib.import_module(module)
    settings = Settings()
    database = Database(database_url(settings))
    try:
        return command(commands, database, settings)
    finally:
        database.close()
