"""`vmclone jobs`, `watch`, `cancel`, `pause`, `resume` and `retry`: what became of requests."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.completion import complete_job, complete_vm
from app.cli.people import ALL, NONE, AsJson, Profile, console, note, on_server, print_json
from app.domain.states import JobOutcome, JobState

if TYPE_CHECKING:
    from app.cli.client import Client

Job = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="A uuid or its beginning, as in `jobs`.", autocompletion=complete_job
    ),
]
Jobs = Annotated[
    list[str],
    typer.Argument(
        metavar="JOB",
        help="A uuid or its beginning, as in `jobs`.",
        autocompletion=complete_job,
    ),
]
_TOLD = {"cancel": "is being canceled", "pause": "is paused", "resume": "goes on"}


def jobs(
    state: Annotated[JobState | None, typer.Option(help="Only these.")] = None,
    outcome: Annotated[JobOutcome | None, typer.Option(help="Only those that ended so.")] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Only of this VM: a name or uuid.", autocompletion=complete_vm),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Only of this account; an administrator sees all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """List jobs, the newest first."""
    filters = {"state": state, "outcome": outcome, "account": account}
    wanted = {name: str(value) for name, value in filters.items() if value}
    on_server(profile, lambda client: _list(client, wanted, source, limit=limit, as_json=as_json))


def watch(job: Job, as_json: AsJson = False, profile: Profile = None) -> None:
    """Show a job until its end; Ctrl-C leaves it running.

    Exit status: 0 every name succeeded, 3 some did, 1 none did, 130 Ctrl-C.
    """

    async def work(client: "Client") -> int:
        from app.cli.lookups import find_job
        from app.cli.watching import watch

        return await watch(client, await find_job(client, job), as_json=as_json)

    raise typer.Exit(on_server(profile, work))


def cancel(jobs: Jobs, as_json: AsJson = False, profile: Profile = None) -> None:
    """End jobs: what waits ends at once, what runs is taken back, what stands already stays.

    Exit status: 1 where one was refused; the others are done all the same.
    """
    _control(jobs, "cancel", profile, as_json=as_json)


def pause(jobs: Jobs, as_json: AsJson = False, profile: Profile = None) -> None:
    """Begin nothing new of these jobs; what is under way is finished.

    Exit status: as of `cancel`.
    """
    _control(jobs, "pause", profile, as_json=as_json)


def resume(jobs: Jobs, as_json: AsJson = False, profile: Profile = None) -> None:
    """Let paused jobs go on.

    Exit status: as of `cancel`.
    """
    _control(jobs, "resume", profile, as_json=as_json)


def retry(
    job: Job,
    wait: Annotated[
        bool, typer.Option("--wait", "--watch", "-w", help="Show it until its end.")
    ] = False,
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Try the names of a finished job that failed or were canceled again, as a new job.

    Exit status: as of `clone`.
    """

    async def work(client: "Client") -> int:
        from app.cli.lookups import find_job
        from app.cli.submitting import submit_once
        from app.cli.watching import watch

        old = await find_job(client, job)
        made = await submit_once(lambda named: client.retry(old, named), {})
        uuid = str(made["uuid"])
        if wait:
            if not as_json:
                print(f"job {uuid} tries {made['total']:,} names again")
            return await watch(client, uuid, as_json=as_json)
        if as_json:
            print_json({"job": made, "items": await client.items(uuid)})
        else:
            print(f"job {uuid} tries {made['total']:,} names again")
            note(f"watch it:  vmclone watch {uuid[:8]}")
        return ALL

    raise typer.Exit(on_server(profile, work))


def _control(jobs: list[str], verb: str, profile: str | None, *, as_json: bool) -> None:
    async def work(client: "Client") -> int:
        from app.cli.controlling import control_each
        from app.cli.words import counts

        done = []
        async for job in control_each(client, jobs, verb):
            done.append(job)
            if not as_json:
                print(f"job {job['uuid']} {_TOLD[verb]}: {counts(job)}")
        if as_json:
            print_json(done)
        return ALL if len(done) == len(jobs) else NONE

    raise typer.Exit(on_server(profile, work))


async def _list(
    client: "Client", filters: dict[str, str], source: str | None, *, limit: int, as_json: bool
) -> None:
    from app.cli import lookups

    if source:
        filters["vmInstanceUuid"] = await lookups.uuid_of(client, lookups.VM, source)
    found = await client.jobs(filters, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        note("there is no such job" if filters else "there is no job yet")
        return
    uuids = [str(job["vmInstanceUuid"]) for job in found if job["vmInstanceUuid"]]
    _show(found, await lookups.names_of(client, lookups.VM, uuids))


def _show(found: list[dict[str, Any]], sources: dict[str, str]) -> None:
    from app.cli.tables import SHORT, show_table, time_cell, uuid_cell

    shown = console()
    # What is the same for all is not worth a column.
    kinds = {job["kind"] for job in found} != {"clone"}
    accounts = len({job["account"] for job in found}) > 1
    rows = []
    for job in found:
        source = job["vmInstanceUuid"] or ""
        row = [
            uuid_cell(job["uuid"], shown),
            _state(job),
            f"{job['succeeded']:,}/{job['total']:,}",
            f"{job['failed']:,}" if job["failed"] else "",
            sources.get(source, source[:SHORT]),
            time_cell(job["createdAt"]),
        ]
        rows.append(row + [job["kind"]] * kinds + [job["account"] or ""] * accounts)
    headings = ["job", "state", "done", "failed", "source", "begun"]
    headings += ["kind"] * kinds + ["account"] * accounts
    show_table(shown, headings, rows, right=("done", "failed"))


def _state(job: dict[str, Any]) -> str:
    from app.cli.words import state_of_job

    waits = ", ".join(job.get("waitReasons") or ())
    return f"{state_of_job(job)} ({waits})" if waits else state_of_job(job)
