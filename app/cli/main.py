"""The `vmclone` command. Verbs import what they need when they run, so that help is quick; what
touches hosts and images lives under `workers` and is loaded by name."""

import asyncio
import importlib
import sys
from typing import Annotated

import typer

from app.cli.access_keys import access_keys
from app.cli.accounts import accounts
from app.cli.cloning import clone
from app.cli.demo_command import demo
from app.cli.doctor import doctor
from app.cli.failures import one_line
from app.cli.inventory import inventory
from app.cli.jobs import cancel, jobs, pause, resume, retry, watch
from app.cli.limits import limits
from app.cli.signing_in import login, logout
from app.cli.starting import (
    collect_rarely,
    migrate_to_head,
    read_settings,
    ready_commands,
    say_stopping,
)
from app.cli.vms import destroy, vms

app = typer.Typer(
    help="Clones virtual machines in bulk, behind ZStack's CloneVmInstance API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
PEOPLE, OPERATORS = "Over HTTP, for everybody", "On the database and this machine, for operators"
for verb in (clone, jobs, watch, cancel, pause, resume, retry, vms, destroy, login, logout):
    app.command(rich_help_panel=PEOPLE)(verb)
app.command(rich_help_panel=OPERATORS)(doctor)
for name, group in (
    ("inventory", inventory),
    ("limits", limits),
    ("account", accounts),
    ("access-key", access_keys),
):
    app.add_typer(group, name=name, rich_help_panel=OPERATORS)


def main(*argv: str) -> None:
    """Entry point: a refusal is one clear line on stderr and status 1, a usage error status 2.
    Without `argv` it is this process's own."""
    collect_rarely()
    try:
        app(argv or None)
    except Exception as exc:
        line = one_line(exc)
        if line is None:
            raise
        print(f"vmclone: {line}", file=sys.stderr)
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"vmclone {version('vmclone')}")
        raise typer.Exit


@app.callback()
def vmclone(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=OPERATORS)
def up() -> None:
    """Run everything on this machine: PostgreSQL, Valkey, the API and a worker."""
    from app.cli.client import find_server, wait_until_ready
    from app.cli.failures import ApiError
    from app.embedded.stack import run_stack

    settings = read_settings()

    def announce() -> None:
        server = find_server(settings, environment={})
        try:
            asyncio.run(wait_until_ready(server, timeout_s=60))
        except ApiError as exc:
            typer.echo(f"not ready yet: {exc}", err=True)
        else:
            typer.echo(f"ready on {server.url}; Ctrl-C stops it")

    raise typer.Exit(
        run_stack(
            settings,
            migrate=migrate_to_head,
            commands=ready_commands,
            alongside=announce,
            stopping=say_stopping,
        )
    )


app.command(rich_help_panel=OPERATORS)(demo)


@app.command(rich_help_panel=OPERATORS)
def api() -> None:
    """Serve the HTTP API."""
    from app.api.main import run

    run(read_settings())


@app.command(rich_help_panel=OPERATORS)
def worker(
    host: Annotated[
        list[str] | None, typer.Option("--host", help="Serve this host alone; repeatable.")
    ] = None,
    control: Annotated[bool, typer.Option("--control", help="Serve the control queue.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Clones at once; default VMCLONE_WORKER_PROCESSES.")
    ] = None,
    consume: Annotated[str | None, typer.Option(hidden=True)] = None,
    name: Annotated[str | None, typer.Option(hidden=True)] = None,
    webhooks: Annotated[bool, typer.Option("--webhooks", hidden=True)] = False,
) -> None:
    """Work for hosts and the control queue; without options for all that are this machine's."""
    workers = importlib.import_module("workers.main")
    settings = read_settings()
    if consume and name and processes:
        workers.consume(settings, name=name, queues=consume.split(","), processes=processes)
        return
    if webhooks:
        workers.deliver_webhooks(settings)
        return
    status = workers.run_worker(settings, host or [], control=control, processes=processes)
    raise typer.Exit(status)


@app.command(rich_help_panel=OPERATORS)
def migrate() -> None:
    """Bring the database to this version's tables."""
    from app.endpoints import database_url

    migrate_to_head(database_url(read_settings()))
