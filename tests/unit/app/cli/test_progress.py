"""Following a job shows each change once and ends when the job does."""

from typing import Any, cast

import pytest
from rich.console import Console

from app.cli.client import ApiError, Client, Json
from app.cli.progress import follow


class Job:
    """A job that is one look further each time."""

    def __init__(self, *looks: tuple[Json, Json]) -> None:
        self._looks = list(looks)
        self._item: Json = {}

    async def job(self, _uuid: str) -> Json:
        job, self._item = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return {"total": 1, **job}

    async def items(self, _uuid: str) -> list[Json]:
        return [{"uuid": "i", "name": "web", "stepCount": 7, **self._item}]


WAITS = ({"state": "Running", "waitReasons": ["base"]}, {"state": "Waiting", "waitReason": "base"})
COPIES: tuple[Json, Json] = (
    {"state": "Running", "bytesDone": 5, "bytesTotal": 10, "rateBytesPerSecond": 5},
    {"state": "Running", "step": "copy_root_volume", "stepNumber": 2},
)
ENDS: tuple[Json, Json] = ({"state": "Finished", "succeeded": 1}, {"state": "Succeeded"})


async def shown(job: Job, console: Console, **limits: Any) -> str:
    with console.capture() as captured:
        await follow(cast(Client, job), "j", console, **{"timeout_s": 5.0, **limits})
    return captured.get()


async def test_a_log_has_one_line_for_each_change() -> None:
    text = await shown(Job(WAITS, WAITS, COPIES, ENDS), Console(force_terminal=False))
    assert text.splitlines() == [
        "the job: Running, waits: base",
        "web: Waiting: base",
        "the job: Running",
        "web: Running copy_root_volume (2 of 7)",
        "the job: Finished",
        "web: Succeeded",
    ]


async def test_a_terminal_shows_names_bytes_and_rate() -> None:
    console = Console(force_terminal=True, width=120)
    text = await shown(Job(WAITS, COPIES, ENDS), console)
    assert "0/1 names" in text
    assert "5 bytes of 10 bytes  5 bytes/s" in text
    assert "1/1 names" in text
    assert "web  " in text


async def test_a_job_that_does_not_end_is_given_up() -> None:
    with pytest.raises(ApiError, match="clone job j is still Running"):
        await shown(Job(WAITS), Console(force_terminal=False), timeout_s=0.0)
