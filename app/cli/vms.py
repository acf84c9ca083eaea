"""`vmclone vms` and `destroy`: the VMs that an account has."""

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.completion import complete_job, complete_vm
from app.cli.people import ALL, NONE, SOME, AsJson, Profile, console, note, on_server, print_json

if TYPE_CHECKING:
    from app.cli.client import Client

Json = dict[str, Any]
OfJob = Annotated[
    str | None,
    typer.Option(
        "--job", metavar="JOB", help="Those that this job made.", autocompletion=complete_job
    ),
]
_AT_ONCE = 16
_SHOWN = 5


def vms(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Only these; 'web-*' and 'web-{001..100}' are several.",
            autocompletion=complete_vm,
        ),
    ] = None,
    job: OfJob = None,
    destroyed: Annotated[
        bool, typer.Option("--destroyed", help="Those too that are destroyed and kept a while.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 1000,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """List the VMs that you can see, with address, state and host."""
    on_server(
        profile,
        lambda client: _list(
            client, names or [], job, destroyed=destroyed, limit=limit, as_json=as_json
        ),
    )


def destroy(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VM",
            help="Names or uuids; 'web-{001..100}' is a hundred.",
            autocompletion=complete_vm,
        ),
    ] = None,
    job: OfJob = None,
    expunge: Annotated[
        bool,
        typer.Option("--expunge", help="Leave nothing; else they are kept for some days."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Without asking.")] = False,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Destroy VMs by name, or all that a job made.

    Exit status: 0 every one was, 3 some were, 1 none was, 2 usage or not confirmed, 130 Ctrl-C.
    """
    if bool(names) == bool(job):
        raise typer.BadParameter("name VMs, or a job with --job, and not both")
    if as_json and not job:
        raise typer.BadParameter("--json goes with --job")

    async def work(client: "Client") -> int:
        if job:
            return await _destroy_of_job(client, job, expunge=expunge, yes=yes, as_json=as_json)
        return await _destroy_named(client, names or [], expunge=expunge, yes=yes)

    raise typer.Exit(on_server(profile, work))


async def _list(
    client: "Client",
    names: list[str],
    job: str | None,
    *,
    destroyed: bool,
    limit: int,
    as_json: bool,
) -> None:
    from app.cli import lookups

    if job:
        uuid = await lookups.find_job(client, job)
        items = await client.items(uuid)
        made = [item["vmUuid"] for item in items if item["state"] == "Succeeded"]
        found = await lookups.by_uuids(client, lookups.VM, made)
        found = [vm for vm in found if destroyed or vm["state"] != "Destroyed"]
        found = [vm for vm in found if not names or _matches(vm["name"], names)]
    else:
        found = await _query(client, names, destroyed=destroyed, limit=limit + 1)
    if len(found) > limit:
        note(f"only {limit:,} are shown; --limit shows more")
    found = found[:limit]
    if as_json:
        print_json(found)
    elif not found:
        note("there is no such VM" if names or job else "there is no VM yet")
    else:
        hosts = [str(vm["hostUuid"]) for vm in found if vm.get("hostUuid")]
        _show(found, await lookups.names_of(client, lookups.HOST, hosts))


async def _query(client: "Client", names: list[str], *, destroyed: bool, limit: int) -> list[Json]:
    from app.cli.clone_body import names_of
    from app.cli.lookups import VM

    kept = [] if destroyed else ["state!=Destroyed"]
    found: dict[str, Json] = {}
    patterns: list[str | None] = [*names_of(names)] or [None]
    for pattern in patterns:
        conditions = [_condition(pattern)] if pattern else []
        page = await client.query(VM, *kept, *conditions, limit=min(limit, 10_000), sort="+name")
        found |= {vm["uuid"]: vm for vm in page}
    return list(found.values())


def _condition(pattern: str) -> str:
    if "*" not in pattern:
        return f"name={pattern}"
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"name~={escaped.replace('*', '%')}"


def _matches(name: str, patterns: Sequence[str]) -> bool:
    from fnmatch import fnmatchcase

    from app.cli.clone_body import names_of

    return any(fnmatchcase(name, pattern) for pattern in names_of(patterns))


def _show(found: list[Json], hosts: dict[str, str]) -> None:
    from app.cli.tables import show_table, uuid_cell

    shown = console()
    rows = [
        (
            vm["name"],
            ", ".join(nic["ip"] for nic in vm.get("vmNics", ()) if nic.get("ip")),
            vm["state"],
            hosts.get(vm.get("hostUuid", ""), ""),
            uuid_cell(vm["uuid"], shown),
        )
        for vm in found
    ]
    show_table(shown, ("name", "ip", "state", "host", "uuid"), rows)


async def _destroy_of_job(
    client: "Client", job: str, *, expunge: bool, yes: bool, as_json: bool
) -> int:
    from app.cli.lookups import find_job
    from app.cli.watching import watch

    uuid = await find_job(client, job)
    made = (await client.job(uuid))["succeeded"]
    _confirm(client, f"{made:,} VMs of job {uuid[:8]}", expunge=expunge, yes=yes)
    removal = await client.remove_vms(uuid, expunge=expunge)
    if not as_json:
        print(f"job {removal} {'expunges' if expunge else 'destroys'} them")
    return await watch(client, removal, as_json=as_json)


async def _destroy_named(client: "Client", names: list[str], *, expunge: bool, yes: bool) -> int:
    from app.cli import lookups
    from app.cli.clone_body import names_of

    # Destroyed ones have nothing to be done but to be expunged.
    kept = () if expunge else ("state!=Destroyed",)
    found = [await lookups.find_one(client, lookups.VM, name, *kept) for name in names_of(names)]
    shown = ", ".join(vm["name"] for vm in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    _confirm(client, f"{shown}{more}", expunge=expunge, yes=yes)
    gate = asyncio.Semaphore(_AT_ONCE)
    done = await asyncio.gather(*(_remove(client, vm, gate, expunge=expunge) for vm in found))
    return ALL if all(done) else SOME if any(done) else NONE


async def _remove(client: "Client", vm: Json, gate: asyncio.Semaphore, *, expunge: bool) -> bool:
    from app.cli.failures import ApiError

    try:
        async with gate:
            if vm["state"] != "Destroyed":
                await client.remove_vm(vm["uuid"], expunge=False)
            if expunge:
                await client.remove_vm(vm["uuid"], expunge=True)
    except ApiError as exc:
        note(f"{vm['name']}: {exc}")
        return False
    print(f"{vm['name']}: {'expunged' if expunge else 'destroyed'}")
    return True


def _confirm(client: "Client", what: str, *, expunge: bool, yes: bool) -> None:
    """Raises typer.Exit where nobody says yes."""
    if yes:
        return
    ends = "nothing of them is kept" if expunge else "they can be recovered for some days"
    question = f"{'Expunge' if expunge else 'Destroy'} {what} on {client.server.url} ({ends})?"
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"there is no terminal to ask: {question} Say --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(2)
