"""A job until its end on the terminal, and how that ended."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from app.cli.client import Client, Json
from app.cli.following import follow
from app.cli.people import console, note, print_json, status_of
from app.cli.progress import Quiet, View, view
from app.cli.words import done, failures, reason, took

_SHORT = 8


async def watch(client: Client, job_uuid: str, *, as_json: bool) -> int:
    """The exit status of the job. Ctrl-C leaves it running, and says so."""
    shown = console(errors=as_json)
    display: View = Quiet() if as_json and not shown.is_terminal else view(shown)
    try:
        await show_until_end(client, job_uuid, display, note if as_json else display.say)
    except asyncio.CancelledError:
        note(f"the job goes on; watch it:  vmclone watch {job_uuid[:_SHORT]}")
        note(f"            or cancel it:   vmclone cancel {job_uuid[:_SHORT]}")
        raise
    job = await client.job(job_uuid)
    items = await client.items(job_uuid)
    if as_json:
        print_json({"job": job, "items": items})
    else:
        show_end(shown, job, items)
    return status_of(job)


async def show_until_end(
    client: Client, job_uuid: str, display: View, say: Callable[[str], None]
) -> None:
    with display:
        async for look in follow(client, job_uuid, say):
            display.show(look)


def show_end(shown: Console, job: Json, items: Sequence[Json]) -> None:
    """What became of its names, why some failed, and what to do next."""
    total, made = job["total"], job["succeeded"]
    time = f" in {took(_took_s(job))}" if job.get("startedAt") and made else ""
    style = "green" if made == total else "red" if not made else "yellow"
    _line(shown, f"{made:,} of {total:,} {done(job)}{time}", style)
    for line in failures(items):
        _line(shown, f"  failed: {line}", "red")
    if job.get("canceled"):
        _line(shown, f"  canceled: {job['canceled']:,}", "yellow")
    if job.get("error") and not items:
        _line(shown, f"  refused: {reason(job['error'])}", "red")
    for each in (*job.get("ignored", ()), *job.get("notes", ())):
        _line(shown, f"  note: {each if isinstance(each, str) else reason(each)}", "yellow")
    if job["kind"] != "clone":
        return
    if job.get("retriedAs"):
        _line(shown, f"tried again by:   vmclone watch {job['retriedAs'][:_SHORT]}")
    elif made < total:
        _line(shown, f"try those again:  vmclone retry {job['uuid'][:_SHORT]} --wait")
    if made:
        _line(shown, f"see the clones:   vmclone vms --job {job['uuid'][:_SHORT]}")


def _line(shown: Console, text: str, style: str = "") -> None:
    """However long, so that it can be copied."""
    shown.print(Text(text, style=style), soft_wrap=True)


def _took_s(job: Json) -> float:
    begun, ended = (datetime.fromisoformat(job[key]) for key in ("startedAt", "finishedAt"))
    return (ended - begun).total_seconds()
