"""The host fence: whoever touches an item's or base's traces on this host holds its flock.

The lock file names its holder's pid, start time and fence, so that the holder of a newer fence
can end an older holder that is frozen. Children that inherit the descriptor keep the lock held
until they are gone. Files are unlinked under the lock, and a taker makes sure that the inode it
locked is still the one the name leads to.
"""

import fcntl
import json
import os
import select
import signal
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from app.store.items import LeaseLost

KILL_WAIT_S = 10.0


class HostLock:
    """An exclusive lock on one uuid, on this host's own disk."""

    def __init__(self, folder: Path, uuid: str) -> None:
        self._path = folder / f"{uuid}.lock"
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """To be inherited by children that write."""
        assert self._descriptor is not None
        return self._descriptor

    def try_acquire(self) -> bool:
        """False while somebody else holds it."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if self._is_current(descriptor):
                self._descriptor = descriptor
                return True
            os.close(descriptor)

    def note(self, fence: int) -> None:
        """Name the holder: this process, with its fence."""
        pid = os.getpid()
        holder = {"pid": pid, "started": _own_start_time(pid), "fence": fence}
        os.pwrite(self.descriptor, json.dumps(holder).encode().ljust(128), 0)

    def wrest(self, fence: int) -> None:
        """Take it from a holder with an older fence, which is killed. Raises LeaseLost if the
        holder is newer, or does not go."""
        holder = self._holder()
        if holder is not None:
            if holder["fence"] >= fence:
                raise LeaseLost
            _kill(holder["pid"], holder["started"])
        deadline_s = time.monotonic() + KILL_WAIT_S
        while not self.try_acquire():
            # Its children are still dying, or a newer holder was faster.
            if time.monotonic() > deadline_s:
                raise LeaseLost
            time.sleep(0.01)

    def release(self) -> None:
        if self._descriptor is None:
            return
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        os.close(self._descriptor)
        self._descriptor = None

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _holder(self) -> dict[str, int] | None:
        try:
            content = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None  # gone, or not noted yet
        return content if isinstance(content, dict) else None


@lru_cache(maxsize=1)
def _own_start_time(pid: int) -> int:
    return _start_time(pid)


def _start_time(pid: int) -> int:
    """Clock ticks since boot: with the pid it names one process. Source: proc(5), stat field 22."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19])


def _kill(pid: int, started: int) -> None:
    """End exactly this process, and wait until it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The pid may be somebody else's by now; the descriptor cannot change any more.
        if _start_time(pid) != started:
            return
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], KILL_WAIT_S)
    except (ProcessLookupError, FileNotFoundError):
        return
    finally:
        os.close(descriptor)
