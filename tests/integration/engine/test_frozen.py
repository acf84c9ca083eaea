"""Processes that freeze, hang or die with a child at work: another one takes their item over, and
they touch nothing more."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.domain.errors import VmStartFailed
from app.store import control
from tests.integration.child import Child, Say, forked
from tests.integration.points import Points
from tests.integration.real_files import World, real_files
from workers import fence, lease
from workers.hypervisors.simulator import SimulatorHypervisor
from workers.lease import EX_SOFTWARE, Heart

DEADLINE_S = 30
BEAT_S = 0.1
LAPSE_S = 20.0


@pytest.fixture
def world(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[World]:
    with real_files(database_url, tmp_path, chain=getattr(request, "param", False)) as made:
        yield made


def works_until(
    world: World, job: str, matches: Callable[[str], bool], *, late_s: float = 0
) -> Callable[[Say], None]:
    """A worker process that freezes before the first effect that matches, once it has begun on
    the job's item; when it thaws it is `late_s` later."""

    def works(say: Say) -> None:
        engine = world.another_engine()
        engine.worker.heart = Heart(interval_s=BEAT_S)
        frozen = False

        def reached(_: int, what: str) -> None:
            nonlocal frozen
            if not frozen and matches(what) and _has_items(world, job):
                frozen = True
                os.kill(os.getpid(), signal.SIGSTOP)
                let_clock_jump(late_s)

        Points(reached).install()
        engine.start(job)

    return works


def let_clock_jump(late_s: float) -> None:
    """In a process that ends soon."""
    clock = lease.boottime_s
    lease.boottime_s = lambda: clock() + late_s


def _has_items(world: World, job: str) -> bool:
    """Asked in a connection of its own: the process may be in the middle of a transaction."""
    import psycopg

    with psycopg.connect(world.database_url) as connection:
        query = "SELECT 1 FROM items WHERE job_uuid = %s AND state = 'Running'"
        return connection.execute(query, [job]).fetchone() is not None


def let_leases_lapse(world: World) -> None:
    world.engine.sweep()
    for _ in range(2):
        world.engine.pass_time(LAPSE_S)
        world.engine.sweep()


def assert_made_once(world: World, job: str) -> None:
    states = world.engine.item_states(job)
    assert set(states) == {"Succeeded"}
    assert world.look() == []
    assert len(list(world.storage.rglob("vol-*/*.*"))) == 2 * len(states)


WHERE: dict[str, Callable[[str], bool]] = {
    "inside a copy": lambda what: what == "copy_file_range",
    "before a rename": lambda what: what.startswith("renameat2"),
    "between two steps": lambda what: "/nics" in what,
    "inside a transaction": lambda what: what == "COMMIT",
}


@pytest.mark.parametrize("where", WHERE)
def test_a_frozen_worker_is_ended_by_who_takes_its_item(world: World, where: str) -> None:
    job = world.job("a", "b", systemTags=["cloneMode::full"])
    with forked(works_until(world, job, WHERE[where])) as child:
        child.wait_until_stopped()
        let_leases_lapse(world)
        assert_made_once(world, job)
        assert child.wait() == -signal.SIGKILL
    assert world.engine.scalar("SELECT sum(lapses) FROM items") == 1


def test_a_worker_that_froze_before_it_had_the_lock_touches_nothing(world: World) -> None:
    job = world.job("a")
    locks = works_until(world, job, lambda what: what.startswith("os.link"), late_s=LAPSE_S)
    with forked(locks) as child:
        child.wait_until_stopped()
        world.engine.database.run(lambda connection: control.cancel_job(connection, job))
        let_leases_lapse(world)
        assert world.engine.item_states(job) == ["Canceled"]
        child.kill(signal.SIGCONT)
        assert child.wait() == 0, child.said()
    assert list(world.storage.rglob("vol-*/*")) == []
    assert world.look() == []


def test_a_worker_that_thaws_before_anybody_came_goes_on(world: World) -> None:
    job = world.job("a")
    with forked(works_until(world, job, WHERE["between two steps"])) as child:
        child.wait_until_stopped()
        world.engine.pass_time(LAPSE_S)
        child.kill(signal.SIGCONT)
        assert child.wait() == 0, child.said()
    assert_made_once(world, job)
    assert world.engine.scalar("SELECT lapses FROM items") == 0


def test_a_hung_call_ends_its_process_and_its_item_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(say: Say) -> None:
        monkeypatch.setattr(SimulatorHypervisor, "start", lambda *_: threading.Event().wait())
        engine = world.another_engine()
        engine.worker.heart = Heart(interval_s=BEAT_S, step_limit_s=0.5)
        engine.start(job)

    job = world.job("a")
    with forked(hangs) as child:
        assert child.wait() == EX_SOFTWARE
    let_leases_lapse(world)
    assert_made_once(world, job)


SURVIVES = """#!{python}
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(1, 0)  # PR_SET_PDEATHSIG: off
with open({note!r} + ".part", "w") as note:
    note.write(str(os.getpid()))
os.rename({note!r} + ".part", {note!r})
time.sleep(60)
"""


@pytest.mark.parametrize("world", [True], indirect=True)
def test_nobody_writes_while_a_killed_workers_child_does(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "pid"
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "qemu-img").write_text(SURVIVES.format(python=sys.executable, note=str(note)))
    (tools / "qemu-img").chmod(0o755)

    def flattens(say: Say) -> None:
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        world.another_engine().start(job)

    job = world.job("a")
    monkeypatch.setattr(fence, "KILL_WAIT_S", 0.2)
    with forked(flattens) as child:
        writer = _written(note, child)
        child.kill()
        child.wait()
    try:
        let_leases_lapse(world)
        assert world.engine.item_states(job) == ["Waiting"]
        assert [f.name for f in (world.storage / "imagecache").iterdir()] == []
    finally:
        os.kill(writer, signal.SIGKILL)
    for _ in range(2):
        let_leases_lapse(world)
    assert_made_once(world, job)


def _written(note: Path, child: Child) -> int:
    deadline_s = time.monotonic() + DEADLINE_S
    while not note.exists():
        assert time.monotonic() < deadline_s, child.said()
        time.sleep(0.01)
    return int(note.read_text())


def test_what_an_unmounted_storage_holds_is_not_taken_for_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = world.storage.with_name("unmounted")

    def unmounted_meanwhile(*_: object) -> None:
        world.storage.rename(elsewhere)
        world.storage.mkdir()
        raise VmStartFailed("no")

    with monkeypatch.context() as patched:
        patched.setattr(SimulatorHypervisor, "start", unmounted_meanwhile)
        job = world.clone("a")
    for _ in range(3):
        world.engine.pass_time(400)
        world.engine.sweep()
    assert world.engine.item_states(job) == ["Stranded"]
    assert list(world.storage.iterdir()) == [], "nothing is written into an empty mount point"
    world.storage.rmdir()
    elsewhere.rename(world.storage)
    world.engine.pass_time(400)
    world.engine.sweep()
    assert world.engine.item_states(job) == ["Failed"]
    assert list(world.storage.rglob("vol-*")) == []
    assert world.look() == []
