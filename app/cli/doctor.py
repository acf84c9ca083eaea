"""`vmclone doctor`: is everything in order, and what belongs to nobody?"""

import importlib
import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer


def doctor(
    orphans: Annotated[
        bool,
        typer.Option("--orphans", help="Hold storages, hypervisors and sums against the database."),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="With --orphans: remove what is ours and nobody's.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="VM", help="Is this VM, by name or uuid, fit to be cloned? On its host."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this installation. Exit status 0: in order; 1: not; 2: not all could be looked at."""
    from app.endpoints import database_url
    from app.settings import Settings
    from app.store.session import Database

    if repair and not orphans:
        raise typer.BadParameter("--repair goes with --orphans")
    if source and orphans:
        raise typer.BadParameter("--source and --orphans are two questions")
    settings = Settings()
    database = Database(database_url(settings))
    machine_id = importlib.import_module("workers.this_machine").machine_id()
    try:
        if orphans:
            status = _orphans(database, settings, machine_id, repair=repair, as_json=as_json)
        elif source:
            module = importlib.import_module("workers.ops.doctor.source")
            status = _show(
                module.check_source(database, settings, machine_id, source), as_json=as_json
            )
        else:
            module = importlib.import_module("workers.ops.doctor.checks")
            status = _show(module.check_all(database, settings, machine_id), as_json=as_json)
    finally:
        database.close()
    raise typer.Exit(status)


def _orphans(
    database: object, settings: object, machine_id: str, *, repair: bool, as_json: bool
) -> int:
    audit = importlib.import_module("workers.ops.doctor.orphans")
    findings = audit.OrphanAudit(database, settings, machine_id, repair=repair).run()
    if as_json:
        typer.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(finding.line())
        left = sum(not finding.repaired for finding in findings)
        typer.echo(f"{len(findings)} found, {left} left")
    status: int = importlib.import_module("workers.ops.doctor.findings").exit_status(findings)
    return status


def _show(checks: Iterable[Any], *, as_json: bool) -> int:
    """As they come; each is one of `workers.ops.doctor.findings`. Answers the exit status."""
    held = True
    shown = []
    for check in checks:
        held = held and check.held
        shown.append({"what": check.what, "held": check.held, "text": check.text})
        if not as_json:
            typer.echo(check.line())
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
    return 0 if held else 1
