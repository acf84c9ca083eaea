"""What a followed job looks like: few lines in a log, a display on a terminal."""

from typing import Any

import pytest
from rich.console import Console

from app.cli.client import Json
from app.cli.following import Look
from app.cli.progress import Lines, LiveView, picture


def look(state: str, *, open: list[Json] | None = None, ended: list[Json] | None = None,  # noqa: A002
         **job: Any) -> Look:  # fmt: skip
    counts = {"total": 2, "succeeded": 0, "failed": 0, "canceled": 0, "running": 0, "waiting": 0}
    base = {"kind": "clone", "state": state, "outcome": None, **counts, **job}
    return Look(base, open or [], ended or [])


def an_item(name: str, state: str, **more: Any) -> Json:
    return {"uuid": name, "name": name, "state": state, **more}


WAITS = look("Running", waiting=2, waitReasons={"base": 2})
COPIES = look(
    "Running",
    running=2,
    open=[
        an_item("web", "Running", step="copy_root_volume", stepNumber=2, stepCount=6,
                bytesDone=5, bytesTotal=10),
        an_item("db", "RollingBack", step="define_vm", stepNumber=4, stepCount=6),
    ],
    bytesDone=5,
    bytesTotal=20,
    rateBytesPerSecond=3,
    etaSeconds=65.2,
)  # fmt: skip
NO_ROOM = {"details": "no room", "advice": "Free some space."}
ENDS = look(
    "Finished",
    succeeded=1,
    failed=1,
    ended=[an_item("web", "Succeeded"), an_item("db", "Failed", error=NO_ROOM)],
)


def logged(*looks: Look) -> list[str]:
    console = Console(force_terminal=False, width=40)
    with console.capture() as captured, Lines(console) as lines:
        for each in looks:
            lines.show(each)
    return captured.get().splitlines()


def test_a_log_has_a_line_for_each_change_however_narrow() -> None:
    assert logged(WAITS, WAITS, COPIES, COPIES, ENDS) == [
        "Running: 2 waiting (base)",
        "Running: 2 running  5 bytes of 20 bytes  3 bytes/s  1 min 5 s left",
        "web: Succeeded",
        "db: Failed: no room. Free some space.",
    ]


def test_a_log_of_ten_thousand_names_is_no_flood() -> None:
    looks = [
        look(
            "Running",
            total=10_000,
            succeeded=number,
            failed=number,
            ended=[
                an_item(f"good-{number}", "Succeeded"),
                an_item(f"bad-{number}", "Failed", error=NO_ROOM),
            ],
        )
        for number in range(5000)
    ]
    lines = logged(*looks)
    assert sum(line.startswith("bad-") for line in lines) == 20
    assert not any(line.startswith("good-") for line in lines)
    assert len(lines) < 40


@pytest.mark.parametrize("width", [30, 60, 120])
def test_a_terminal_shows_names_bytes_and_rate_in_its_width(width: int) -> None:
    console = Console(force_terminal=True, width=width, color_system=None)
    with console.capture() as captured:
        console.print(picture(COPIES, 24))
    lines = captured.get().splitlines()
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 4
    assert lines[1].startswith("Running  2 running")
    assert lines[2].startswith("  web")
    if width == 120:
        assert "0/2  5 bytes of 20 bytes  3 bytes/s  1 min 5 s left" in lines[0]
        assert "copy the root volume (2 of 6)" in lines[2]
        assert "50 %" in lines[2]
        assert "taken back from: define (4 of 6)" in lines[3]


def test_a_low_terminal_shows_some_names_and_counts_the_rest() -> None:
    console = Console(force_terminal=True, width=80, color_system=None)
    many = look("Running", open=[an_item(f"n{n}", "Running") for n in range(50)], total=50)
    with console.capture() as captured:
        console.print(picture(many, 12))
    assert captured.get().splitlines()[-1] == "  and 46 more at work"


def test_a_terminal_keeps_what_failed() -> None:
    console = Console(force_terminal=True, width=80)
    with console.capture() as captured, LiveView(console) as view:
        view.show(COPIES)
        view.show(ENDS)
    assert "db: Failed: no room. Free some space." in captured.get()
