"""A forked process that can be crashed, frozen and killed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

DEADLINE_S = 30

Say = Callable[[str], None]


@dataclass
class Child:
    pid: int
    _said: int

    def wait_until_stopped(self) -> None:
        """It stopped itself; AssertionError if it ended."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), self.said()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait(self, within_s: float = DEADLINE_S) -> int:
        """Its exit status, minus the signal's number if that ended it."""
        deadline_s = time.monotonic() + within_s
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline_s, "it does not end"
            time.sleep(0.005)

    def said(self) -> str:
        """Everything, once it has ended."""
        with os.fdopen(self._said, "rb", closefd=False) as stream:
            return stream.read().decode()


@contextmanager
def forked(body: Callable[[Say], None]) -> Iterator[Child]:
    """A process that runs `body`, which tells its parent what it passes to its argument."""
    reader, writer = os.pipe()
    write = os.write
    pid = os.fork()
    if pid == 0:
        try:
            body(lambda what: (write(writer, what.encode()), None)[1])
            os._exit(0)
        except BaseException as error:
            write(writer, repr(error).encode())
            os._exit(1)
    os.close(writer)
    child = Child(pid, reader)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(reader)
