"""Keeps a copy within its rate, which may change while it runs."""

import time
from collections.abc import Callable

from workers.storage.base import CopyControl

CHUNK = 16 << 20
SMALLEST_CHUNK = 64 << 10
CHUNKS_A_SECOND = 8
LOOK_S = 0.2  # how long a slow copy sleeps before it looks at lease, cancel and rate again


class Pace:
    """No credit is saved up: a copy that was held up does not hurry afterwards."""

    def __init__(
        self,
        control: CopyControl,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._control = control
        self._clock_s = clock_s
        self._sleep = sleep
        self._counted = 0
        self._free_at_s = clock_s()

    @property
    def chunk(self) -> int:
        """Bytes to move before the next look."""
        rate = self._control.rate_bytes_s
        if rate is None:
            return CHUNK
        return max(SMALLEST_CHUNK, min(CHUNK, rate // CHUNKS_A_SECOND))

    def wait(self, done: int) -> None:
        """A checkpoint; returns once more may be moved, after `done` bytes of the copy."""
        self._control.checkpoint()
        while (left_s := self.ahead_s(done)) > 0:
            self._sleep(min(left_s, LOOK_S))
            self._control.checkpoint()

    def ahead_s(self, done: int) -> float:
        """For how long nothing more may be moved."""
        rate, now_s = self._control.rate_bytes_s, self._clock_s()
        moved, self._counted = done - self._counted, done
        if rate is None:
            self._free_at_s = now_s
            return 0.0
        self._free_at_s = max(self._free_at_s, now_s - LOOK_S) + moved / max(1, rate)
        # A rate that was raised meanwhile ends a long wait.
        self._free_at_s = min(self._free_at_s, now_s + CHUNK / max(1, rate))
        return self._free_at_s - now_s
