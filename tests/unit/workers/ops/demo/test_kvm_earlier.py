"""A demo begins when no worker of an earlier one is left."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.domain.errors import OperationFailed
from workers.ops.demo.kvm import earlier

ENDS_WHEN_TOLD = [sys.executable, "-c", "print(flush=True); input()"]


def process(home: Path, *words: str) -> "subprocess.Popen[bytes]":
    started = subprocess.Popen(
        [*ENDS_WHEN_TOLD, *words],
        env={**os.environ, "VMCLONE_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdout
    started.stdout.readline()
    return started


def test_a_worker_that_is_at_its_end_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process(tmp_path, "vmclone", "worker") as worker:
        # Each look is one chance for it to end.
        monkeypatch.setattr(time, "sleep", lambda _: worker.communicate(b"\n"))
        earlier.wait_for_workers(tmp_path)
        assert worker.returncode == 0


def test_one_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "LIMIT_S", -1.0)
    with process(tmp_path, "vmclone", "worker") as worker:
        with pytest.raises(OperationFailed, match=str(worker.pid)):
            earlier.wait_for_workers(tmp_path)
        worker.communicate(b"\n")


def test_others_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "LIMIT_S", -1.0)
    with (
        process(tmp_path, "vmclone", "doctor") as one,
        process(tmp_path / "other", "vmclone", "worker") as other,
    ):
        earlier.wait_for_workers(tmp_path)
        for each in (one, other):
            each.communicate(b"\n")
