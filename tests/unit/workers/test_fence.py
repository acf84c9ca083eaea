"""The host's lock, with real processes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.leases import LeaseLost
from workers.fence import PROCESS_FILES, HostLock, remove_process_files

HOLD = """
import sys, time
from pathlib import Path
from workers.fence import HostLock
lock = HostLock(Path(sys.argv[1]), "item", int(sys.argv[2]))
assert lock.try_acquire()
print("held", flush=True)
time.sleep(60)
"""

LEAVES_A_CHILD = """
import subprocess, sys, time
from pathlib import Path
from workers.fence import HostLock
lock = HostLock(Path(sys.argv[1]), "item")
assert lock.try_acquire()
child = subprocess.Popen(["sleep", "60"], pass_fds=[lock.descriptor], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
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
    lock = HostLock(tmp_path, "item", 6)
    assert not lock.try_acquire()
    lock.wrest()
    assert holder.wait(timeout=10) == -signal.SIGKILL
    lock.release()


def test_an_older_or_equal_fence_leaves_the_holder_alone(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    for fence in (4, 5):
        with pytest.raises(LeaseLost):
            HostLock(tmp_path, "item", fence).wrest()
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
    lock.release()
    assert list(tmp_path.glob("*.lock")) == []


def test_a_process_that_is_gone_leaves_its_file_to_be_removed(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert HostLock(tmp_path, "mine").try_acquire()
    remove_process_files(tmp_path)
    assert len(list(tmp_path.glob(PROCESS_FILES))) == 2, "both live"
    holder.kill()
    holder.wait()
    remove_process_files(tmp_path)
    (own,) = tmp_path.glob(PROCESS_FILES)
    assert own.name.startswith(f"{os.getpid()}-")


def test_a_child_that_outlives_the_holder_keeps_the_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        child = os.pidfd_open(int(holder.stdout.readline()))
        holder.kill()
    try:
        assert not HostLock(tmp_path, "item", 1).try_acquire()
        signal.pidfd_send_signal(child, signal.SIGKILL)
        HostLock(tmp_path, "item", 1).wrest()
    finally:
        os.close(child)


def test_an_emptied_folder_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    first = HostLock(folder, "first")
    assert first.try_acquire()
    first.release()
    shutil.rmtree(folder)
    assert HostLock(folder, "second").try_acquire()
