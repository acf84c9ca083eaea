"""The host fence: whoever touches an item's or base's traces on this host holds its lock.

A lock is a file named by the uuid, with an flock(2) on it. It says who holds it: pid, start time
and fence, so that the holder of a newer fence can end an older holder that is frozen. Children
that inherit the descriptor keep the lock held until they are gone. Names are removed under the
lock, and a taker makes sure that the inode it locked is still the one the name leads to.

Each process has one file of its own, locked for as long as it lives, and a lock is a second name
of it: making files is slow where many were just removed (ext4 uses no inode again for five
seconds, and looks at all of these first).
"""

import fcntl
import json
import os
import secrets
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.store.leases import LeaseLost

KILL_WAIT_S = 10.0
PATIENCE_S = 0.2  # before a holder is killed
PROCESS_FILES = "*.process"


class HostLock:
    """An exclusive lock on one uuid, on this host's own disk, for the holder of `fence`."""

    def __init__(self, folder: Path, uuid: str, fence: int = 0) -> None:
        self._folder = folder
        self._path = folder / f"{uuid}.lock"
        self._note = {"uuid": uuid, "fence": fence}
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """To be inherited by children that write."""
        assert self._descriptor is not None
        return self._descriptor

    def try_acquire(self) -> bool:
        """False while somebody else holds it."""
        while True:
            if self._name_own_file():
                return True
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # released just now
            if not _locks(descriptor):
                os.close(descriptor)
                return False
            if _leads_to(self._path, descriptor):  # its holder died
                _write(descriptor, self._note)
                self._descriptor = descriptor
                return True
            os.close(descriptor)

    def _name_own_file(self) -> bool:
        """False where the name is taken. The descriptor comes first: a name that nobody can give
        back would be held for as long as this process lives."""
        own = _own_file(self._folder, os.getpid())
        own.write(self._note)
        descriptor = os.dup(own.descriptor)
        try:
            os.link(own.path, self._path)
        except FileExistsError:
            os.close(descriptor)
            return False
        except FileNotFoundError:  # somebody emptied the folder
            os.close(descriptor)
            _own_file.cache_clear()
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._name_own_file()
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def wrest(self) -> None:
        """Take it from a holder with an older fence, which is killed. Raises LeaseLost if the
        holder is newer, or does not go."""
        # Who ended his work may be about to give it back.
        give_back_by_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_back_by_s:
            if self.try_acquire():
                return
            time.sleep(0.01)
        holder = self._holder()
        if holder is not None:
            if holder["fence"] >= self._note["fence"]:
                raise LeaseLost
            _kill(holder["pid"], holder["started"], still=lambda: self._holder() == holder)
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

    def _holder(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None  # gone, or being written
        is_this = isinstance(content, dict) and content.get("uuid") == self._note["uuid"]
        return content if is_this else None


@dataclass(frozen=True, slots=True)
class _OwnFile:
    path: Path
    descriptor: int

    def write(self, note: dict[str, Any]) -> None:
        _write(self.descriptor, note)


@lru_cache(maxsize=1)
def _own_file(folder: Path, pid: int) -> _OwnFile:
    """Of this process; a forked one gets its own."""
    while True:
        path = folder / f"{pid}-{secrets.token_hex(4)}.process"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _leads_to(path, descriptor):
            return _OwnFile(path, descriptor)
        os.close(descriptor)  # taken for left over before it was locked


def remove_process_files(folder: Path) -> None:
    """Those of processes that are gone."""
    for path in folder.glob(PROCESS_FILES):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if _locks(descriptor):
            with suppress(FileNotFoundError):
                os.unlink(path)
        os.close(descriptor)


def _write(descriptor: int, note: dict[str, Any]) -> None:
    """Name the holder: this process, with its fence."""
    pid = os.getpid()
    holder = note | {"pid": pid, "started": _own_start_time(pid)}
    os.pwrite(descriptor, json.dumps(holder).encode().ljust(160), 0)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@lru_cache(maxsize=1)
def _own_start_time(pid: int) -> int:
    return _start_time(pid)


def _start_time(pid: int) -> int:
    """Clock ticks since boot: with the pid it names one process. Source: proc(5), stat field 22."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19])


def _kill(pid: int, started: int, *, still: Callable[[], bool]) -> None:
    """End exactly this process, if it still is who is meant, and wait until it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The pid may be somebody else's by now; the descriptor cannot change any more.
        if _start_time(pid) != started or not still():
            return
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], KILL_WAIT_S)
    except (ProcessLookupError, FileNotFoundError):
        return
    finally:
        os.close(descriptor)
