"""Jobs and items in words."""

from typing import Any

import pytest

from app.cli.people import status_of
from app.cli.words import counts, duration, failures, state_of_job, took


def a_job(**changes: Any) -> dict[str, Any]:
    keys = ("succeeded", "failed", "canceled", "running", "waiting", "total")
    return {"kind": "clone", "state": "Running", **dict.fromkeys(keys, 0), **changes}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (0.44, "0.4 s"), (9.96, "10.0 s"), (12.3, "12 s")]
)
def test_what_was_short_is_told_to_a_tenth_of_a_second(seconds: float, text: str) -> None:
    assert took(seconds) == text


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (a_job(), "none begun"),
        (a_job(waiting=3, waitReasons={"base": 3}), "3 waiting (base)"),
        (
            a_job(succeeded=1200, running=2, waiting=3, waitReasons={"hostSlots": 3, "retry": 1}),
            "1,200 cloned, 2 running, 3 waiting (3 hostSlots, 1 retry)",
        ),
        (a_job(kind="expunge", succeeded=2, failed=1), "2 expunged, 1 failed"),
    ],
)
def test_counts_leave_out_what_is_nought(job: dict[str, Any], text: str) -> None:
    assert counts(job) == text


def test_a_finished_job_is_called_by_its_outcome() -> None:
    asked = {"cancelRequestedAt": "2026-11-28T00:00:00Z"}
    assert state_of_job(a_job(outcome=None)) == "Running"
    assert state_of_job(a_job(outcome=None, **asked)) == "canceling"
    assert state_of_job(a_job(state="Finished", outcome="Canceled", **asked)) == "Canceled"


def test_failures_are_told_by_their_reasons_and_not_each() -> None:
    items: list[dict[str, Any]] = [
        {
            "name": f"web-{number}",
            "state": "Failed",
            "error": {"details": f"unable to create vm[name:web-{number}]: no room"},
        }
        for number in range(7)
    ]
    other = {
        "code": "X",
        "details": "no host",
        "cause": {"details": "host away"},
        "advice": "Wait.",
    }
    items += [
        {"name": "db", "state": "Failed", "error": other},
        {"name": "ok", "state": "Succeeded"},
        {"name": "odd", "state": "Stranded", "error": None},
    ]
    assert failures(items) == [
        "db: no host: host away. Wait.",
        "odd: no reason is known",
        "web-0, web-1, web-2, web-3, web-4 and 2 more: no room",
    ]


@pytest.mark.parametrize(
    ("succeeded", "total", "status"), [(3, 3, 0), (1, 3, 3), (0, 3, 1), (0, 0, 1)]
)
def test_the_exit_status_says_all_some_or_none(succeeded: int, total: int, status: int) -> None:
    assert status_of(a_job(succeeded=succeeded, total=total)) == status
