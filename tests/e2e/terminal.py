"""A command in a pseudo-terminal, and what a person sees there."""

import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

import pexpect
import pyte

LIMIT_S = 60.0


class Terminal:
    """Leaving kills what still runs."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = 100
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, 30, history=500)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self._child = pexpect.spawn(
            command[0],
            list(command[1:]),
            env={**environment, "TERM": "xterm-256color"},
            dimensions=(30, columns),
            # As a shell starts it, also where these tests are started to ignore Ctrl-C.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.close(force=True)

    @property
    def lines(self) -> list[str]:
        """All that scrolled away, and the screen, as they read now."""
        above = [
            "".join(line[column].data for column in range(self._screen.columns))
            for line in self._screen.history.top
        ]
        return [line.rstrip() for line in (*above, *self._screen.display)]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip()

    def wait_for(self, *texts: str) -> None:
        """All of them are to be seen at one moment."""
        deadline_s = time.monotonic() + LIMIT_S
        while not all(text in self.text for text in texts):
            assert time.monotonic() < deadline_s, f"{texts} is not on:\n{self.text}"
            assert self._read(), f"ended before {texts}:\n{self.text}"

    def type(self, text: str) -> None:
        self._child.send(text)

    def interrupt(self) -> None:
        self._child.sendintr()

    def end(self) -> int:
        """The exit status."""
        deadline_s = time.monotonic() + LIMIT_S
        while self._read():
            assert time.monotonic() < deadline_s, self.text
        self._child.wait()
        assert self._child.exitstatus is not None, f"ended by signal {self._child.signalstatus}"
        return int(self._child.exitstatus)

    def _read(self) -> bool:
        """False at its end."""
        try:
            self._feed(self._child.read_nonblocking(65536, timeout=0.1))
        except pexpect.TIMEOUT:
            pass
        except pexpect.EOF:
            return False
        return True

    def _feed(self, content: bytes) -> None:
        self.raw += content
        self._stream.feed(content)
