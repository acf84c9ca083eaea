"""The host's lock, with real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.items import LeaseLost
from workers.fence import HostLock

HOLD = """
import sys, time
from pathlib import Path
from workers.fence import HostLock
lock = HostLock(Path(sys.argv[1]), "item")
assert lock.try_acquire()
lock.note(int(sys.argv[2]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock with fence 5."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "5"], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_newer_fence_ends_a_frozen_holder(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    lock = HostLock(tmp_path, "item")
    assert not lock.try_acquire()
    lock.wrest(6)
    assert holder.wait(timeout=10) == -signal.SIGKILL
    lock.release()


def test_an_older_or_equal_fence_leaves_the_holder_alone(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    lock = HostLock(tmp_path, "item")
    for fence in (4, 5):
        with pytest.raises(LeaseLost):
            lock.wrest(fence)
    assert holder.poll() is None


def test_a_dead_holders_lock_is_free(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    lock = HostLock(tmp_path, "item")
    assert lock.try_acquire()
    lock.release()


def test_released_locks_leave_no_file_behind(tmp_path: Path) -> None:
    lock = HostLock(tmp_path, "item")
    assert lock.try_acquire()
    lock.note(1)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_inherits_the_lock_holds_it(tmp_path: Path) -> None:
    lock = HostLock(tmp_path, "item")
    assert lock.try_acquire()
    with subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        pass_fds=[lock.descriptor],
    ) as child:
        os.close(lock.descriptor)  # as if this process had died
        assert not HostLock(tmp_path, "item").try_acquire()
        child.kill()
    assert HostLock(tmp_path, "item").try_acquire()
