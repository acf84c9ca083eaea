"""A copy under way is held to its storage's rate, stops when its job is cancelled, and is handed
back by a worker that is stopped."""

import os
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.e2e.audit import assert_nothing_left_over
from tests.e2e.stack import Stack
from tests.e2e.test_real_volumes import Declared, declare, make_images, stack, storage

__all__ = ["stack", "storage"]  # fixtures
DEADLINE_S = 60
STOP_LIMIT_S = 45
MEGABYTES = 12


@pytest.fixture
def mode() -> str:
    return "full"


@pytest.fixture
def declared(stack: Stack, storage: Path) -> Declared:
    make_images(storage.parent / "images", megabytes=MEGABYTES)
    return declare(stack, storage)


@pytest.fixture
def rate(declared: Declared) -> list[str]:
    """The limit of its storage's."""
    return ["primaryStorage", f"ps-{declared.own}", "bytesPerSecond"]


@pytest.fixture
def slow_copy(stack: Stack, declared: Declared, rate: list[str]) -> str:
    """A job in the middle of its copy, which would take long."""
    # The base is made at full speed, once.
    assert stack.wait_for(stack.clone(declared.source, names=["first"]))["outcome"] == "Succeeded"
    limited = stack.vmclone("limits", "set", *rate, "1MiB")
    assert limited.returncode == 0, limited.stderr
    job = stack.clone(declared.source, names=["slow"], systemTags=["cloneMode::full"])
    deadline_s = time.monotonic() + DEADLINE_S
    while not stack.ask(lambda client: client.items(job))[0]["bytesDone"]:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return job


def test_a_cancel_stops_a_copy_in_the_middle_and_leaves_nothing(
    stack: Stack, storage: Path, declared: Declared, slow_copy: str
) -> None:
    assert stack.ask(lambda client: client.control(slow_copy, "cancel"))["state"] == "Running"
    job = stack.wait_for(slow_copy)
    (item,) = stack.ask(lambda client: client.items(slow_copy))
    assert (job["outcome"], item["state"]) == ("Canceled", "Canceled")
    # Within two seconds at a mebibyte a second, and whatever this machine does meanwhile.
    assert item["bytesDone"] < item["bytesTotal"] - (2 << 20)
    with stack.database() as database:
        assert_nothing_left_over(database, declared.storage_uuid, storage)


def test_a_rate_that_is_lifted_lets_the_copy_go(
    stack: Stack, rate: list[str], slow_copy: str
) -> None:
    paused = stack.ask(lambda client: client.control(slow_copy, "pause"))
    assert paused["state"] == "Running", "what runs goes on"
    stack.ask(lambda client: client.control(slow_copy, "resume"))
    assert stack.vmclone("limits", "unset", *rate).returncode == 0
    job = stack.wait_for(slow_copy)
    assert (job["outcome"], job["bytesDone"]) == ("Succeeded", job["bytesTotal"])


def test_a_worker_that_is_stopped_hands_its_copy_back(
    stack: Stack, rate: list[str], slow_copy: str
) -> None:
    agent = next(pid for pid in stack.worker_pids() if parent_of(pid) == stack.process.pid)
    stop(agent)
    assert stack.vmclone("limits", "unset", *rate).returncode == 0
    assert stack.wait_for(slow_copy)["outcome"] == "Succeeded"
    assert tried(stack, slow_copy) == (1, 0), "what was handed back is no attempt and no lapse"


def test_the_processes_of_a_worker_are_stopped_one_by_one(stack: Stack, declared: Declared) -> None:
    stop(min(stack.pids("vmclone worker --consume clone")))
    assert stack.wait_for(stack.clone(declared.source, names=["next"]))["outcome"] == "Succeeded"


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline_s = time.monotonic() + STOP_LIMIT_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def tried(stack: Stack, job: str) -> tuple[int, int]:
    """Attempts and lapses of the job's one item."""
    with stack.database() as database, database.single() as connection:
        query = "SELECT attempts, lapses FROM items WHERE job_uuid = :job"
        attempts, lapses = connection.execute(text(query), {"job": job}).one()
    return attempts, lapses


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
