"""Keeps child processes running: started in order, started again when they die, stopped in
reverse order. Children die with their parent, whatever ends it."""

import ctypes
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from app.forked import Forked, show_as

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.2
MAX_DELAY_S = 5.0
STEADY_AFTER_S = 10.0  # a child that lived this long starts again without delay
PR_SET_PDEATHSIG = 1

_prctl = ctypes.CDLL(None, use_errno=True).prctl


@dataclass(slots=True)
class Child:
    """One process to keep. `prepare` runs in the forked child before it becomes `argv`.

    `main` is what `argv` comes to, of code that this process has imported: the first start is a
    fork that calls it and speaks to our own output, which saves a second or two of imports and
    their memory. Later ones are not, because this process has connections and threads by then.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None  # on top of ours
    stop_signal: signal.Signals = signal.SIGTERM
    log_file: Path | None = None  # None: our own output
    prepare: Callable[[], None] | None = None
    main: Callable[[], object] | None = None
    process: subprocess.Popen[bytes] | Forked | None = field(default=None, init=False)
    started_at_s: float = field(default=0.0, init=False)
    delay_s: float = field(default=0.0, init=False)
    restarts: int = field(default=0, init=False)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Fork from the main thread only: the parent-death signal follows the forking thread."""
        if self.main is not None and not self.restarts and threading.active_count() == 1:
            self.process = self._forked(self.main)
        else:
            self.process = self._executed()
        self.started_at_s = time.monotonic()

    def _forked(self, main: Callable[[], object]) -> Forked:
        become = self._become()

        def live() -> None:
            os.setsid()
            show_as(" ".join([Path(self.argv[1]).name, *self.argv[2:]]))
            os.environ.update(self.env or {})
            become()
            main()

        return Forked(live)

    def _executed(self) -> "subprocess.Popen[bytes]":
        output = self.log_file.open("ab") if self.log_file else None
        try:
            return subprocess.Popen(
                self.argv,
                env={**os.environ, **(self.env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                preexec_fn=self._become(),
                # A terminal's Ctrl-C is for the parent, which stops them in order.
                start_new_session=True,
            )
        finally:
            if output:
                output.close()

    def _become(self) -> Callable[[], None]:
        parent = os.getpid()

        def become() -> None:
            if self.prepare is not None:
                self.prepare()
            # After any change of user or namespace, which clears it. Source: prctl(2).
            _prctl(PR_SET_PDEATHSIG, self.stop_signal)
            if os.getppid() != parent:
                os._exit(1)

        return become

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def stop(self, grace_s: float) -> None:
        """Gone afterwards: asked first, killed after `grace_s`."""
        if self.process is None:
            return
        self.ask_to_stop()
        if self.process.poll() is None:
            try:
                self.process.wait(timeout=grace_s)
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop in %.0f s, killing it", self.name, grace_s)
                self.process.kill()
                self.process.wait()
        self.process = None


class Supervisor:
    """`run` starts the children and returns when SIGINT or SIGTERM has stopped them all."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        grace_s: float,
        together: bool = False,
        told: Callable[[], object] = lambda: None,
    ) -> None:
        """`together`: the children do not need each other, so all are asked to stop at once. `told`
        is called once a signal says stop, before that is done."""
        self._children = list(children)
        self._together = together
        self._grace_s = grace_s
        self._told = told
        self._is_told = False
        self._stopping = False
        self._hurry = False

    def add(self, child: Child) -> None:
        """Start it, and keep it after those that are there."""
        child.start()
        self._children.append(child)

    def run(self, *, tick: Callable[[], object] | None = None, tick_s: float = 0.5) -> int:
        """`tick` is called every `tick_s`; one that raises is logged. Returns 0."""
        previous = {
            number: signal.signal(number, self._told_to_stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            for child in self._children:
                if not child.alive:
                    child.start()
            while not self._stopping:
                self.revive()
                if tick is not None:
                    self._call(tick)
                self._pause(tick_s)
            if self._is_told:
                self._call(self._told)
        finally:
            self.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
        return 0

    def revive(self) -> None:
        """Start dead children again: at once after a long life, soon after a short one."""
        now_s = time.monotonic()
        for child in self._children:
            if child.alive:
                continue
            lived_s = now_s - child.started_at_s
            if lived_s >= STEADY_AFTER_S:
                child.delay_s = 0.0
            if lived_s >= child.delay_s:
                status = child.process.returncode if child.process else None
                log.warning("%s ended with status %s, starting it again", child.name, status)
                child.delay_s = min(MAX_DELAY_S, max(FIRST_DELAY_S, 2 * child.delay_s))
                child.restarts += 1
                child.start()

    def stop(self) -> None:
        if self._together:
            for child in self._children:
                child.ask_to_stop()
        for child in reversed(self._children):
            child.stop(0.0 if self._hurry else self._grace_s)

    def request_stop(self) -> None:
        """As SIGTERM would; for another thread of this process."""
        self._stopping = True

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The first time politely; the second time without patience."""
        self._hurry = self._stopping
        self._stopping = self._is_told = True

    def _call(self, back: Callable[[], object]) -> None:
        try:
            back()
        except Exception:
            log.warning("a call back failed", exc_info=True)

    def _pause(self, seconds: float) -> None:
        """Until then, or until a signal says stop."""
        until_s = time.monotonic() + seconds
        while not self._stopping and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(0.1, left_s))
