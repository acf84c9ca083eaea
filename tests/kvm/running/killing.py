"""libvirtd is killed while it is told something."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from tests.engine import Engine
from tests.integration.child import Say
from tests.kvm.running.engine import ROUND_S, ROUNDS
from tests.kvm.waiting import until


@dataclass(frozen=True, slots=True)
class Window:
    """So many milliseconds after the beginning of a call; None: before it."""

    call: str  # of a class of libvirt's, as in "virDomain.create"
    delay_ms: float | None

    def __str__(self) -> str:
        when = "before" if self.delay_ms is None else f"{self.delay_ms:g} ms into"
        return f"killed {when} {self.call}"


class Killer:
    """For a process of the host, whose first such call it is; it goes on as it can without."""

    def __init__(self, window: Window) -> None:
        self._delay_ms = window.delay_ms
        self._thread = Thread(target=self._kill)
        self._install(*window.call.split("."))

    def _install(self, owner: str, call: str) -> None:
        import libvirt

        of_class = getattr(libvirt, owner)
        made = getattr(of_class, call)

        def dies_meanwhile(*arguments: Any) -> Any:
            if not self.began:
                self._thread.start()
                if self._delay_ms is None:
                    self._thread.join()
            return made(*arguments)

        setattr(of_class, call, dies_meanwhile)

    def _kill(self) -> None:
        pid = int(Path("/run/libvirtd.pid").read_text())
        time.sleep((self._delay_ms or 0) / 1000)  # the window is what is looked for
        os.kill(pid, signal.SIGKILL)
        until(
            lambda: not Path(f"/proc/{pid}").exists(), "libvirtd ends", within_s=10, every_s=0.001
        )

    @property
    def began(self) -> bool:
        return self._thread.ident is not None

    def join(self) -> None:
        """RuntimeError if there was no such call."""
        self._thread.join()


def kills_libvirtd(job: str, window: Window, engine: Engine, say: Say) -> None:
    """A worker of everything does the job, and libvirtd is killed there."""
    killer = Killer(window)
    engine.start(job)
    for _ in range(ROUNDS):  # what came before that call may have to be tried again
        if killer.began:
            break
        engine.pass_time(ROUND_S)
        engine.sweep()
    killer.join()
