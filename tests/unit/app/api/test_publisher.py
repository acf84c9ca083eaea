"""Publishing off the event loop: best effort, in order, and never in the caller's way."""

import logging
from dataclasses import dataclass, field

import pytest

from app.api.publisher import PublisherThread
from app.queue import TaskName


@dataclass
class Recorded:
    """Takes messages; refuses those of `broken`."""

    broken: frozenset[str] = frozenset()
    taken: list[str] = field(default_factory=list)

    def publish(self, task: TaskName, *uuids: str, expires_s: float | None = None) -> None:
        if self.broken.intersection(uuids):
            raise ConnectionError("no broker")
        self.taken += uuids


def test_what_was_handed_over_is_published_before_it_stops() -> None:
    recorded = Recorded()
    thread = PublisherThread(recorded)  # type: ignore[arg-type]
    thread.start()
    for uuid in "abc":
        thread.publish(TaskName.START, uuid)
    thread.stop()
    assert recorded.taken == ["a", "b", "c"]


def test_a_broker_that_fails_is_complained_about_once_and_the_next_message_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorded = Recorded(broken=frozenset("ab"))
    thread = PublisherThread(recorded)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        thread.start()
        for uuid in "abc":
            thread.publish(TaskName.START, uuid)
        thread.stop()
    assert recorded.taken == ["c"]
    assert [record.message for record in caplog.records] == ["could not publish, the sweeper will"]
