"""Publishing off the event loop: best effort, in order, and never in the caller's way."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from app.api import publisher
from app.api.publisher import MOST_TOGETHER, PublisherThread
from app.queue import TaskName

Sent = tuple[str, ...]  # task, uuids


@dataclass
class Recorded:
    """Takes messages; refuses those of `broken`."""

    broken: frozenset[str] = frozenset()
    taken: list[Sent] = field(default_factory=list)  # but for the first

    def publish(self, task: TaskName, *uuids: str, expires_s: float | None = None) -> None:
        if expires_s is None:
            self._take(task, uuids)

    def publish_together(self, task: TaskName, uuids: Sequence[str]) -> None:
        self._take(task, uuids)

    def _take(self, task: TaskName, uuids: Sequence[str]) -> None:
        if self.broken.intersection(uuids):
            raise ConnectionError("no broker")
        self.taken.append((task, *uuids))


def published(recorded: Recorded, *messages: Sent) -> list[Sent]:
    """What becomes of these, handed over at one moment."""
    thread = PublisherThread(recorded)  # type: ignore[arg-type]
    for task, *uuids in messages:
        thread.publish(TaskName(task), *uuids)
    thread._messages.put(None)  # the end, as stop() hands it over, at that moment too
    thread.start()
    thread._thread.join(timeout=5)
    assert not thread._thread.is_alive()
    return recorded.taken


def test_what_was_handed_over_is_published_before_it_stops() -> None:
    messages: list[Sent] = [(TaskName.FINISH, "a"), (TaskName.SWEEP,), (TaskName.FINISH, "b")]
    assert published(Recorded(), *messages) == messages


def test_jobs_of_one_moment_share_a_message() -> None:
    jobs = [f"job-{number}" for number in range(MOST_TOGETHER + 2)]
    messages: list[Sent] = [(TaskName.START, job) for job in jobs]
    messages.insert(3, (TaskName.SCHEDULE,))
    assert published(Recorded(), *messages) == [
        (TaskName.SCHEDULE,),
        (TaskName.START, *jobs[:MOST_TOGETHER]),
        (TaskName.START, *jobs[MOST_TOGETHER:]),
    ]


def test_what_comes_in_the_moment_after_the_first_goes_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Recorded()
    thread = PublisherThread(recorded)  # type: ignore[arg-type]
    later = iter(["b", "c", "d"])

    def sleep(_: float) -> None:
        for uuid in later:
            thread.publish(TaskName.START, uuid)

    monkeypatch.setattr(publisher, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    thread.publish(TaskName.START, "a")
    thread.start()
    deadline_s = time.monotonic() + 10
    while len(recorded.taken) < 2:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    thread.stop()
    assert recorded.taken == [(TaskName.START, "a"), (TaskName.START, "b", "c", "d")]


def test_a_job_that_comes_alone_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "GATHER_S", 600.0)
    recorded = Recorded()
    thread = PublisherThread(recorded)  # type: ignore[arg-type]
    thread.start()
    thread.publish(TaskName.START, "a")
    deadline_s = time.monotonic() + 10
    while not recorded.taken:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert recorded.taken == [(TaskName.START, "a")]


def test_a_broker_that_fails_is_complained_about_once_and_the_next_message_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        taken = published(Recorded(frozenset("ab")), *((TaskName.FINISH, uuid) for uuid in "abc"))
    assert taken == [(TaskName.FINISH, "c")]
    assert [record.message for record in caplog.records] == ["could not publish, the sweeper will"]
