import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.supervisor import Child, Supervisor

LIMIT_S = 20.0


def script(tmp_path: Path, name: str, body: str) -> Child:
    """A child that appends to `log` what it does."""
    file = tmp_path / f"{name}.py"
    head = f"import os, signal, sys, time\nlog = open({str(tmp_path / 'log')!r}, 'a', 1)\n"
    file.write_text(head + body)
    return Child(name, [sys.executable, str(file)])


POLITE = """
def stop(*_):
    log.write(f"{NAME} stopped\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
log.write(f"{NAME} started {os.getpid()}\\n")
while True: time.sleep(0.05)
"""
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
log.write(f"stubborn started {os.getpid()}\\n")
while True: time.sleep(0.05)
"""


def polite(tmp_path: Path, name: str) -> Child:
    return script(tmp_path, name, f"NAME = {name!r}\n{POLITE}")


def lines(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


def run_until(
    supervisor: Supervisor,
    condition: Callable[[], bool],
    stop: Callable[[], None] | None = None,
) -> None:
    """Run in this thread, which forks; another one stops it when the condition holds."""

    def watch() -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not condition() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        (stop or supervisor.request_stop)()

    watcher = threading.Thread(target=watch)
    watcher.start()
    supervisor.run(tick_s=0.02)
    watcher.join()
    assert condition()


def started(tmp_path: Path, name: str) -> int:
    return sum(line.startswith(f"{name} started") for line in lines(tmp_path))


def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    children = [polite(tmp_path, name) for name in ("first", "second")]
    supervisor = Supervisor(children, grace_s=LIMIT_S)
    run_until(supervisor, lambda: started(tmp_path, "first") + started(tmp_path, "second") == 2)
    assert lines(tmp_path)[-2:] == ["second stopped", "first stopped"]


def test_who_is_told_to_stop_says_so_before_it_waits(tmp_path: Path) -> None:
    children = [polite(tmp_path, "child")]
    seen: list[str] = []
    supervisor = Supervisor(
        children, grace_s=LIMIT_S, told=lambda: seen.extend(lines(tmp_path)[-1:])
    )
    run_until(
        supervisor,
        lambda: started(tmp_path, "child") == 1,
        lambda: os.kill(os.getpid(), signal.SIGTERM),
    )
    assert len(seen) == 1
    assert seen[0].startswith("child started")


def test_a_dead_child_is_started_again(tmp_path: Path) -> None:
    child = script(tmp_path, "short", "log.write('short started\\n')\n")
    run_until(Supervisor([child], grace_s=1), lambda: started(tmp_path, "short") >= 3)


def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    child = script(tmp_path, "stubborn", STUBBORN)
    supervisor = Supervisor([child], grace_s=0.2)
    run_until(supervisor, lambda: started(tmp_path, "stubborn") == 1)
    pid = int(lines(tmp_path)[0].split()[-1])
    assert not Path(f"/proc/{pid}").exists()


def test_a_tick_that_raises_does_not_end_the_supervisor(tmp_path: Path) -> None:
    calls = []

    def tick() -> None:
        calls.append(1)
        raise RuntimeError("PostgreSQL is away")

    supervisor = Supervisor([polite(tmp_path, "child")], grace_s=LIMIT_S)

    def watch() -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while len(calls) < 3 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert supervisor.run(tick=tick, tick_s=0.02) == 0
    watcher.join()
    assert len(calls) >= 3
