"""Shows a job that is followed: live on a terminal, else a line for each change."""

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.client import Json
from app.cli.following import Look
from app.cli.words import counts, doing, duration, reason, state_of_job

_TALL = 12  # names that are shown at work, where the terminal has room
_AROUND = 8  # lines of everything else
_FEW = 20  # names of a job that are each worth a line
_TOLD = 20  # failures that are; the summary has all
_EVERY_S = 10.0  # a line about how far it is, at most
_BAR = 40
_NAME = 14  # columns at least


class View(Protocol):
    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, look: Look) -> None: ...

    def say(self, text: str) -> None: ...


def view(console: Console) -> View:
    return LiveView(console) if console.is_terminal else Lines(console)


class Quiet:
    """For programs: nothing is shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, look: Look) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class Told:
    """Names that ended, a line each while they are few."""

    def __init__(self) -> None:
        self._failures = 0

    def lines(self, look: Look) -> list[tuple[str, str]]:
        """(style, text)."""
        few = look.job["total"] <= _FEW
        told = []
        for item in look.ended:
            if item["state"] == "Failed":
                self._failures += 1
                if self._failures <= _TOLD:
                    why = reason(item.get("error"), item["name"])
                    told.append(("red", f"{item['name']}: Failed: {why}"))
                if self._failures == _TOLD:
                    told.append(("red", "more that fail are counted and not told"))
            elif few:
                style = "green" if item["state"] == "Succeeded" else "yellow"
                told.append((style, f"{item['name']}: {item['state']}"))
        return told


class Lines(Quiet):
    """For logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = Told()
        self._state = ""
        self._counts = ""
        self._next_s = 0.0

    def show(self, look: Look) -> None:
        for _, line in self._told.lines(look):
            self.say(line)
        if look.job["state"] == "Finished":
            return  # the summary follows
        state = f"{state_of_job(look.job)} {sorted(look.job.get('waitReasons') or ())}"
        now_s = time.monotonic()
        if state != self._state or (now_s >= self._next_s and counts(look.job) != self._counts):
            self._state, self._counts = state, counts(look.job)
            self._next_s = now_s + _EVERY_S
            self.say(f"{state_of_job(look.job)}: {self._counts}{_how_far(look.job)}")

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


class LiveView(Quiet):
    """An overall bar with what is known of bytes and rate, and the names at work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # The summary takes its place.
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._told = Told()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, look: Look) -> None:
        for style, line in self._told.lines(look):
            self._console.print(Text(line, style=style))
        self._live.update(picture(look, self._console.size.height), refresh=True)

    def say(self, text: str) -> None:
        self._console.print(Text(text, style="yellow"))


def picture(look: Look, height: int) -> RenderableType:
    """What the live display shows in so many lines."""
    room = max(1, min(_TALL, height - _AROUND))
    parts: list[RenderableType] = [_overall(look), _names(look.open[:room])]
    if len(look.open) > room:
        parts.append(Text(f"  and {len(look.open) - room:,} more at work", style="dim"))
    return Group(*parts)


def _overall(look: Look) -> RenderableType:
    job = look.job
    total = job.get("total") or 1
    ended = sum(job.get(key) or 0 for key in ("succeeded", "failed", "canceled"))
    begun = sum(_part(item) for item in look.open)
    row = Table.grid(padding=(0, 2), expand=False)
    row.add_column(min_width=10, max_width=_BAR, ratio=1)
    row.add_column(no_wrap=True)
    row.add_row(
        ProgressBar(
            total=total, completed=ended + begun, complete_style="cyan", finished_style="green"
        ),
        Text(f"{ended:,}/{total:,}{_how_far(job)}", overflow="ellipsis"),
    )
    state = Text(state_of_job(job), style="bold", overflow="ellipsis", no_wrap=True)
    state.append(f"  {counts(job)}", style="not bold")
    return Group(row, state)


def _part(item: Json) -> float:
    """How much of one name is done, by its bytes or its finished steps."""
    if item.get("bytesTotal"):
        return min(1.0, float(item["bytesDone"] or 0) / float(item["bytesTotal"]))
    return (float(item.get("stepNumber") or 1) - 1) / float(item.get("stepCount") or 1)


def _how_far(job: Json) -> str:
    """What is known of bytes, rate and the time left."""
    parts = []
    if job.get("bytesTotal"):
        parts.append(f"{decimal(job['bytesDone'] or 0)} of {decimal(job['bytesTotal'])}")
    elif job.get("bytesDone"):
        parts.append(decimal(job["bytesDone"]))
    if job["state"] != "Finished":
        if job.get("rateBytesPerSecond"):
            parts.append(f"{decimal(int(job['rateBytesPerSecond']))}/s")
        if job.get("etaSeconds"):
            parts.append(f"{duration(job['etaSeconds'])} left")
    return "".join(f"  {part}" for part in parts)


def _names(items: list[Json]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    # Of a narrow terminal's width the names come first.
    table.add_column(no_wrap=True, min_width=_NAME)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=len("100 %"), justify="right")
    for item in items:
        copied = ""
        if item.get("bytesTotal") and item.get("bytesDone"):
            copied = f"{100 * item['bytesDone'] // item['bytesTotal']} %"
        table.add_row(
            Text(f"  {item['name']}", overflow="ellipsis"),
            Text(doing(item), style="dim", overflow="ellipsis"),
            copied,
        )
    return table
