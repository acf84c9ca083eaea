"""Workers of a demo that was killed end by themselves, after the step that they are at."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from app.domain.errors import OperationFailed

LIMIT_S = 90.0  # a worker gives its steps 45, and its own children as long
_PAUSE_S = 0.2


def wait_for_workers(home: Path) -> None:
    """None of that home is left: what one makes after everything was taken away would stay.
    Raises OperationFailed."""
    deadline_s = time.monotonic() + LIMIT_S
    while pids := list(_workers(home)):
        if time.monotonic() > deadline_s:
            raise OperationFailed(
                f"workers of an earlier demo still run (process {', '.join(pids)}): end them"
            )
        time.sleep(_PAUSE_S)


def _workers(home: Path) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if f"VMCLONE_HOME={home}".encode() in environment and b"vmclone worker" in command:
            yield process.name


def remove_tree(folder: Path) -> None:
    """Absent is gone. Servers that are just ending may write there for a moment. Raises OSError."""
    deadline_s = time.monotonic() + LIMIT_S
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_PAUSE_S)
