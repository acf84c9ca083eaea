"""Follows a clone job on the terminal: live where there is one, else a line for each change."""

import asyncio
import time

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.client import ApiError, Client, Json

_INTERVAL_S = 0.1
_STYLES = {"Succeeded": "green", "Failed": "red", "Canceled": "yellow", "Stranded": "red"}


async def follow(client: Client, job_uuid: str, console: Console, *, timeout_s: float) -> Json:
    """The job as it finished. Raises ApiError if it has not after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    view = _Live(console) if console.is_terminal else _Lines(console)
    with view:
        while True:
            # The job first: items read after it are at least as far.
            job = await client.job(job_uuid)
            view.show(job, await client.items(job_uuid))
            if job["state"] == "Finished":
                return job
            if time.monotonic() > deadline_s:
                raise ApiError(f"clone job {job_uuid} is still {job['state']} after {timeout_s} s")
            await asyncio.sleep(_INTERVAL_S)


class _Lines:
    """For logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, str] = {}

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, job: Json, items: list[Json]) -> None:
        self._say("the job", _state(job))
        for item in items:
            self._say(item["name"], _doing(item))

    def _say(self, who: str, what: str) -> None:
        if self._shown.get(who) != what:
            self._shown[who] = what
            self._console.print(f"{who}: {what}", markup=False, highlight=False)


class _Live:
    """An overall bar, what is known of bytes and rate, and each name's step."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> "_Live":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, job: Json, items: list[Json]) -> None:
        self._live.update(Group(_overall(job, items), _names(items)), refresh=True)


def _overall(job: Json, items: list[Json]) -> RenderableType:
    """Steps, not names, move the bar: they are what is finished and counted."""
    steps = sum(item.get("stepCount") or 0 for item in items)
    done = sum(_finished_steps(item) for item in items)
    total = job.get("total") or len(items)
    ended = sum(job.get(key) or 0 for key in ("succeeded", "failed", "canceled"))
    row = Table.grid(padding=(0, 2))
    for _ in range(4):
        row.add_column(no_wrap=True)
    row.add_row(
        ProgressBar(
            total=steps or 1,
            completed=done,
            width=40,
            complete_style="cyan",
            finished_style="green",
        ),
        f"{ended}/{total} names",
        _bytes(job),
        _state(job),
    )
    return row


def _finished_steps(item: Json) -> int:
    if item["state"] == "Succeeded":
        return int(item.get("stepCount") or 0)
    return max(0, int(item.get("stepNumber") or 1) - 1)


def _state(job: Json) -> str:
    reasons = ", ".join(job.get("waitReasons") or ())
    return f"{job['state']}, waits: {reasons}" if reasons else str(job["state"])


def _bytes(job: Json) -> str:
    total = job.get("bytesTotal")
    rate = job.get("rateBytesPerSecond")
    text = f"{decimal(job.get('bytesDone') or 0)} of {decimal(total)}" if total else ""
    return f"{text}  {decimal(int(rate))}/s" if rate else text


def _names(items: list[Json]) -> Table:
    table = Table.grid(padding=(0, 2))
    for item in items:
        table.add_row(
            f"  {item['name']}", Text(_doing(item), style=_STYLES.get(item["state"], "dim"))
        )
    return table


def _doing(item: Json) -> str:
    """One name in a few words."""
    state = str(item["state"])
    if state in {"Granted", "Running", "RollingBack"} and item.get("step"):
        return f"{state} {item['step']} ({item['stepNumber']} of {item['stepCount']})"
    if item.get("waitReason"):
        return f"{state}: {item['waitReason']}"
    if state == "Failed" and item.get("error"):
        return f"{state}: {item['error'].get('details')}"
    return state
