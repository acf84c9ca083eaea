"""Publishing off the event loop: one thread with one connection is as fast as several."""

import logging
import queue
import threading
import time

from app.queue import Publisher, TaskName

log = logging.getLogger(__name__)

COMPLAIN_EVERY_S = 10.0
Message = tuple[TaskName, tuple[str, ...]]


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
            task, uuids = message
            try:
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
