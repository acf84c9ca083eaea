"""A qemu-img that would never end, and whoever started it."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.domain.errors import OperationCanceled, OperationFailed
from app.domain.plan import SourceVolume, VolumeFormat
from tests.integration.storage.conftest import Run
from tests.storage import Control, Shelf
from workers.storage.qemu_img import flatten

WAIT_MS = 20_000

# Starts the child, tells its process id, and waits to be killed.
PARENT = """
import os, sys
from app.domain.plan import SourceVolume, StorageRef, StorageType, VolumeFormat
from tests.storage import Control
from workers.storage.qemu_img import flatten

def tell():
    pid = open(f"/proc/self/task/{os.getpid()}/children").read().strip()
    if pid:
        print(pid, flush=True)
        sys.stdin.read()

source = SourceVolume("u", StorageRef("s", StorageType.LOCAL, "/"), "/x", VolumeFormat.QCOW2)
flatten(source, os.memfd_create("target"), 1, Control(meanwhile=tell))
"""


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "qemu-img"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("endless")
def test_the_child_dies_with_its_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            poll = select.poll()
            poll.register(child, select.POLLIN)
            assert poll.poll(0) == [], "it ended before its parent did"
            parent.send_signal(signal.SIGKILL)
            assert poll.poll(WAIT_MS), "it outlived its parent"
        finally:
            os.close(child)


def children() -> list[str]:
    """Process ids."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.mark.usefixtures("endless")
def test_a_stopped_child_is_gone_when_the_call_returns(tmp_path: Path, shelf: Shelf) -> None:
    source = SourceVolume("u", shelf.ref, "/x", VolumeFormat.QCOW2)
    started: set[str] = set()
    others = set(children())
    control = Control(
        raises=OperationCanceled(),
        at_checkpoint=2,
        meanwhile=lambda: started.update(set(children()) - others),
    )
    with (tmp_path / "target").open("w+b") as target, pytest.raises(OperationCanceled):
        flatten(source, target.fileno(), 1, control)
    assert started
    assert not any(Path("/proc", pid).exists() for pid in started)


@pytest.mark.usefixtures("endless")
def test_the_child_holds_the_hosts_lock(tmp_path: Path, shelf: Shelf) -> None:
    """So the lock is free only when the child, too, is gone."""
    source = SourceVolume("u", shelf.ref, "/x", VolumeFormat.QCOW2)
    held: list[bool] = []
    others = set(children())
    with (tmp_path / "lock").open("w") as lock, (tmp_path / "target").open("w+b") as target:

        def look() -> None:
            held.extend(
                os.path.samefile(f"/proc/{pid}/fd/{lock.fileno()}", lock.name)
                for pid in set(children()) - others
            )

        control = Control(
            inherited_descriptors=(lock.fileno(),),
            raises=OperationCanceled(),
            at_checkpoint=2,
            meanwhile=look,
        )
        with pytest.raises(OperationCanceled):
            flatten(source, target.fileno(), 1, control)
    assert held == [True, True]


def test_what_qemu_img_says_is_in_the_error(shelf: Shelf, tmp_path: Path, qemu_img: Run) -> None:
    source = SourceVolume("u", shelf.ref, str(tmp_path / "gone"), VolumeFormat.QCOW2)
    with (
        (tmp_path / "target").open("w+b") as target,
        pytest.raises(OperationFailed, match="No such file or directory"),
    ):
        flatten(source, target.fileno(), 1, Control())
