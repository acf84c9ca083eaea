"""Children that go on from here: they have what this process has imported, and share its memory."""

import ctypes
import gc
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_FIRST_OF_OURS = 3  # behind stdin, stdout and stderr
_MAX_DESCRIPTORS = 1 << 20
_ARG_START = 48 - 3  # of the fields behind a process's name in /proc/self/stat. Source: proc(5)


class Forked:
    """A process that calls `main` and ends with it; asked about as a `subprocess.Popen` is. It has
    none of our open files but stdout and stderr, and no handler of SIGINT and SIGTERM.

    Only while this process has one thread: what another one holds just then stays held in the
    child. Raises OSError where there can be no more processes.
    """

    def __init__(self, main: Callable[[], object]) -> None:
        # What is there now stays, and a child that never looks through it shares its memory.
        gc.freeze()
        _flush()  # or the child would say it again
        self.pid = os.fork()
        if self.pid == 0:
            _live(main)
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Its exit status, or the negative number of the signal that ended it; None while it
        lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                os.close(self._descriptor)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        while (status := self.poll()) is None:
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _live(main: Callable[[], object]) -> None:
    """Never returns, whatever is raised: what the frames below would do then is their own
    process's."""
    status = 1
    try:
        status = _status_of(main)
        _flush()
    finally:
        os._exit(status)


def _status_of(main: Callable[[], object]) -> int:
    """As the interpreter would end with."""
    try:
        _be_by_itself()
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _be_by_itself() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.closerange(_FIRST_OF_OURS, _MAX_DESCRIPTORS)
    stdin = os.open(os.devnull, os.O_RDONLY)
    os.dup2(stdin, 0)
    os.close(stdin)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def show_as(title: str) -> None:
    """What the process list says of this process, as much of it as its own command line had room
    for. The libraries for this write over its environment, too, by which processes of a home are
    found."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    room = end - start - 2
    if room > 0:
        shown = title.encode()[:room]
        # A last byte that is not 0 tells the kernel that what is there is a title, which ends at
        # the first 0. Source: get_mm_cmdline in fs/proc/base.c of Linux.
        ctypes.memmove(start, shown + bytes(room + 1 - len(shown)) + b" ", end - start)
