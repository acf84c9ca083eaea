"""A worker's hold on one item or base set, kept alive by one thread per process.

The process measures its own lease with CLOCK_BOOTTIME, which goes on while a laptop sleeps, from
before it sent the heartbeat, and begins no side effect past it. The thread stops extending and
ends the process when a step passes its limit or a copy shows no byte for its limit: a hung
hypervisor call must not live for ever on a healthy heartbeat.
"""

import logging
import mmap
import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context

from app.domain.errors import OperationCanceled, OperationTimeout, SiblingFailed
from app.store.leases import Flags, LeaseLost

log = logging.getLogger(__name__)

STEP_LIMIT_S = 300.0  # for a step, or a copy, that shows no progress
EX_SOFTWARE = 70

_draining = mmap.mmap(-1, 1)

Beat = Callable[[int], Flags | None]


class Draining(Exception):
    """The worker is stopping: give the item back at the next checkpoint."""


def drain_alone() -> None:
    """`start_draining` is from here on for this process and those that it forks: a Celery worker
    and its children, but not the processes of one that was forked from the same."""
    global _draining
    _draining = mmap.mmap(-1, 1)


def start_draining() -> None:
    _draining[0] = 1


def is_draining() -> bool:
    return bool(_draining[0])


def boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Also the `CopyControl` of the item's copies."""

    def __init__(
        self,
        beat: Beat,
        *,
        lease_s: float,
        claimed_at_s: float,
        flags: Flags | None = None,
        lock_descriptor: int | None = None,
    ) -> None:
        """`claimed_at_s` is the boot time just before the claim was sent, `flags` what it read."""
        self.inherited_descriptors = () if lock_descriptor is None else (lock_descriptor,)
        self._beat = beat
        self._lease_s = lease_s
        self._valid_until_s = claimed_at_s + lease_s
        self._flags = flags or Flags()
        self._lost = False
        self._undoing = False
        self._moved_at_s = boottime_s()
        self._finished_bytes = 0
        self._volume_bytes = 0

    @property
    def bytes_done(self) -> int:
        return self._finished_bytes + self._volume_bytes

    @property
    def rate_bytes_s(self) -> int | None:
        """As the last heartbeat said."""
        return self._flags.rate_bytes_s

    def progress(self, bytes_done: int) -> None:
        self._volume_bytes = max(self._volume_bytes, bytes_done)
        self._moved_at_s = boottime_s()

    def next_volume(self) -> None:
        self._finished_bytes += self._volume_bytes
        self._volume_bytes = 0

    def begin_step(self) -> None:
        """From here on the step's limit counts."""
        self._moved_at_s = boottime_s()

    def begin_undo(self) -> None:
        """Undo ignores cancellation and deadline."""
        self._undoing = True
        self.begin_step()

    def checkpoint(self) -> None:
        """Raises LeaseLost, Draining, OperationCanceled, SiblingFailed or OperationTimeout."""
        if self._lost or boottime_s() >= self._valid_until_s:
            raise LeaseLost
        if is_draining():
            raise Draining
        if self._undoing:
            return
        if self._flags.cancel:
            raise OperationCanceled
        if self._flags.doomed:
            raise SiblingFailed
        if self._flags.late:
            raise OperationTimeout("the job's deadline has passed")

    def stalled_s(self) -> float:
        return boottime_s() - self._moved_at_s

    def extend(self) -> None:
        """One heartbeat; an error leaves the lease as it was."""
        sent_at_s = boottime_s()
        flags = self._beat(self.bytes_done)
        if flags is None:
            self._lost = True
            return
        self._flags = flags
        self._valid_until_s = sent_at_s + self._lease_s


class Heart:
    """The thread that beats for the lease this process holds, if it holds one."""

    def __init__(self, *, interval_s: float, step_limit_s: float = STEP_LIMIT_S) -> None:
        self._interval_s = interval_s
        self._step_limit_s = step_limit_s
        self._lease: Lease | None = None
        self._context = copy_context()
        self._thread: threading.Thread | None = None

    def hold(self, lease: Lease) -> None:
        self._context = copy_context()  # what is held, for the lines of the thread
        self._lease = lease
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
            self._thread.start()

    def release(self) -> None:
        self._lease = None

    def _run(self) -> None:
        while True:
            time.sleep(self._interval_s)
            lease = self._lease
            if lease is None:
                continue
            if lease.stalled_s() > self._step_limit_s:
                self._context.run(
                    log.error, "step hangs, ending this process", extra={"pid": os.getpid()}
                )
                os._exit(EX_SOFTWARE)
            try:
                lease.extend()
            except Exception:
                self._context.run(log.warning, "heartbeat failed, the lease runs on", exc_info=True)
