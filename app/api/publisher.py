"""Publishing off the event loop: one thread with one connection is as fast as several.

A message costs as much as the statement that accepts a job, so jobs that are accepted one right
after the other share one: the first goes at once, and what comes in the moment after it, together.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from app.queue import Publisher, TaskName

log = logging.getLogger(__name__)

COMPLAIN_EVERY_S = 10.0
GATHER_S = 0.02
MOST_TOGETHER = 8  # jobs of a message: one process starts them, one after the other
Message = tuple[TaskName, Sequence[str]]


class PublisherThread:
    """Best effort: what cannot be published now is published by the sweeper."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._complained_at_s = -COMPLAIN_EVERY_S

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What was handed over before is still published."""
        self._messages.put(None)
        self._thread.join(timeout=5)

    def publish(self, task: TaskName, *uuids: str) -> None:
        self._messages.put((task, uuids))

    def _run(self) -> None:
        self._warm_up()
        while (message := self._messages.get()) is not None:
            for task, uuids in _together([message, *self._waiting()]):
                self._send(task, uuids)
            time.sleep(GATHER_S)

    def _waiting(self) -> Iterator[Message]:
        """What else has been handed over, up to the end, which is left."""
        with suppress(queue.Empty):
            while (message := self._messages.get_nowait()) is not None:
                yield message
            self._messages.put(None)

    def _send(self, task: TaskName, uuids: Sequence[str]) -> None:
        try:
            if task is TaskName.START:
                self._publisher.publish_together(task, uuids)
            else:
                self._publisher.publish(task, *uuids)
        except Exception as error:
            self._complain(error)

    def _warm_up(self) -> None:
        """The first message costs a hundred times a later one."""
        try:
            self._publisher.publish(TaskName.SCHEDULE, expires_s=1)
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Once a burst."""
        if time.monotonic() - self._complained_at_s >= COMPLAIN_EVERY_S:
            self._complained_at_s = time.monotonic()
            log.warning("could not publish, the sweeper will", extra={"error": str(error)})


def _together(messages: Iterable[Message]) -> Iterator[Message]:
    """Jobs to start in messages of several, and the others as they are."""
    jobs: list[str] = []
    for task, uuids in messages:
        if task is TaskName.START:
            jobs += uuids
        else:
            yield task, uuids
    for first in range(0, len(jobs), MOST_TOGETHER):
        yield TaskName.START, jobs[first : first + MOST_TOGETHER]
