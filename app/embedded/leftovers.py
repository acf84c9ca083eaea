"""Servers of an earlier stack that outlived it are stopped before new ones start."""

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

STOP_LIMIT_S = 15.0


def stop_leftover(pid: int, *, belongs_to: str, stop_signal: signal.Signals) -> None:
    """Stop this process if it is still there and its command line holds `belongs_to`: a pid file
    may be older than the process that has its number now."""
    try:
        descriptor = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        if belongs_to not in command:
            return
        for number in (stop_signal, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], STOP_LIMIT_S)[0]:
                return
    except (FileNotFoundError, ProcessLookupError):
        return
    finally:
        os.close(descriptor)


def pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
