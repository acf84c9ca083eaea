"""The process that clones ends at each point of its way; another one finds what it left, ends the
job as it must end, and nothing is left over."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest

from app.domain.errors import VmStartFailed, VolumeIOError
from app.store import hosts
from app.store.models import JobKind
from tests.engine import Engine
from tests.fakes.snapshots import FakeSnapshots, RunningSimulator, Seen
from tests.integration.child import Say, forked
from tests.integration.points import Points
from tests.integration.real_files import World, real_files
from workers import stale_locks
from workers.hypervisors.simulator import SimulatorHypervisor
from workers.storage.root import MARKER

ROUNDS = 12  # of passing time, until everything must be at rest
ROUNDS_AFTER = 1  # of a finished job, for bases that nobody needs any more
ROUND_S = 400  # longer than leases, back-off and the tries of stranded items
GRACE_S = 60
MOST_POINTS = 400
CRASHED = 77
EVERY = int(os.environ.get("VMCLONE_CRASH_EVERY", "17"))  # `make deep` takes each point


@pytest.fixture
def world(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[World]:
    chain = getattr(request, "param", False)
    with real_files(database_url, tmp_path, chain=chain, base_grace_s=GRACE_S) as made:
        yield made


def test_a_linked_clone(world: World) -> None:
    walk(world, partial(clone, mode="linked"), "Succeeded")
    assert len(list((world.storage / "rootVolumes").rglob("*.qcow2"))) > 1


@pytest.mark.parametrize("world", [True], indirect=True)
def test_a_clone_of_a_source_that_runs(world: World, tmp_path: Path) -> None:
    """Its disks are put back each time, too."""
    with world.engine.database.single() as connection:
        host = hosts.ref(connection, world.inventory.hosts[0])
    snapshots = FakeSnapshots(tmp_path / "snapshots")
    world.engine.worker.fake_hypervisor = RunningSimulator(host, world.settings, snapshots)

    def asked_and_put_back(world: World) -> str:
        assert snapshots.seen == Seen()
        assert list((world.storage / "work").iterdir()) == []
        return clone(world)

    walk(world, asked_and_put_back, "Succeeded")


@pytest.mark.parametrize("world", [True], indirect=True)
def test_a_full_clone_of_a_chain(world: World) -> None:
    walk(world, partial(clone, mode="full"), "Succeeded")
    assert list((world.storage / "imagecache").iterdir()) == []


def test_a_clone_that_is_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise VmStartFailed("no")

    monkeypatch.setattr(SimulatorHypervisor, "start", refuse)
    walk(world, clone, "Failed")
    assert_empty(world)


def test_a_clone_that_is_cancelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled_meanwhile(*_: object) -> None:
        with psycopg.connect(world.database_url) as connection:
            connection.execute(
                "UPDATE jobs SET cancel_requested_at = now() WHERE state = 'Running'"
            )
        raise VolumeIOError("again")

    monkeypatch.setattr(SimulatorHypervisor, "start", cancelled_meanwhile)
    walk(world, clone, "Canceled")
    assert_empty(world)


@pytest.mark.parametrize("kind", [JobKind.DESTROY, JobKind.EXPUNGE])
def test_a_removal(world: World, kind: JobKind) -> None:
    def made_and_asked_for_removal(world: World) -> str:
        job = clone(world)
        settle(world.engine, job)
        return world.removal(job, kind)

    walk(world, made_and_asked_for_removal, "Succeeded")
    if kind is JobKind.EXPUNGE:
        assert_empty(world)


@pytest.mark.parametrize("kind", [JobKind.STOP, JobKind.REBOOT, JobKind.UPDATE])
def test_what_is_done_with_a_vm(world: World, kind: JobKind) -> None:
    def made_and_asked_for_it(world: World) -> str:
        vm = made(world, "Running")
        if kind is JobKind.UPDATE:
            settle(world.engine, world.operation(vm, JobKind.STOP, type="cold"))
        return world.operation(vm, kind, cpuNum=2)

    walk(world, made_and_asked_for_it, "Succeeded")
    ends_in = "Running" if kind is JobKind.REBOOT else "Stopped"
    assert states_of(world) == {ends_in}


@pytest.mark.parametrize("ends_as", ["Succeeded", "Failed"])
def test_a_start(world: World, ends_as: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = SimulatorHypervisor.start

    def made_and_stopped(world: World) -> str:
        monkeypatch.setattr(SimulatorHypervisor, "start", start)
        vm = made(world, "Running")
        settle(world.engine, world.operation(vm, JobKind.STOP, type="cold"))
        if ends_as == "Failed":
            monkeypatch.setattr(SimulatorHypervisor, "start", refuse_always)
        return world.operation(vm, JobKind.START)

    walk(world, made_and_stopped, ends_as)
    assert states_of(world) == {"Running" if ends_as == "Succeeded" else "Stopped"}


def refuse_always(*_: object) -> None:
    raise VmStartFailed("no")


@pytest.mark.parametrize("ends_as", ["Succeeded", "Failed"])
def test_a_first_start(world: World, ends_as: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if ends_as == "Failed":
        monkeypatch.setattr(SimulatorHypervisor, "start", refuse_always)

    def recorded(world: World) -> str:
        os.utime(world.images / "data.raw")
        job = world.job("vm", strategy="JustCreate")
        settle(world.engine, job)
        return world.operation(vm_of(world, job), JobKind.START)

    walk(world, recorded, ends_as)
    assert states_of(world) == {"Running" if ends_as == "Succeeded" else "Created"}
    if ends_as == "Failed":
        assert_empty(world)


def made(world: World, state: str) -> str:
    job = clone(world)
    settle(world.engine, job)
    vm = vm_of(world, job)
    assert world.engine.scalar("SELECT state FROM vm_instances WHERE uuid = :vm", vm=vm) == state
    return vm


def vm_of(world: World, job: str) -> str:
    return str(world.engine.scalar("SELECT vm_uuid FROM items WHERE job_uuid = :job", job=job))


def states_of(world: World) -> set[str]:
    rows = world.engine.rows("SELECT state::text FROM vm_instances WHERE origin = 'cloned'")
    return {row.state for row in rows}


def clone(world: World, mode: str = "linked") -> str:
    """Of a source that changed since the last time, so that it has to be copied again."""
    os.utime(world.images / "data.raw")
    return world.job("vm", systemTags=[f"cloneMode::{mode}"])


def assert_empty(world: World) -> None:
    assert [f for f in world.storage.rglob("*") if f.is_file()] == [world.storage / MARKER]


def walk(world: World, ask: Callable[[World], str], ends_as: str) -> None:
    """`ask` gives a fresh job for each point."""
    for point in count(1, EVERY):
        assert point < MOST_POINTS
        job = ask(world)
        crashed_before = crash(world, job, point)
        settle(world.engine, job)
        folder = world.settings.home / "locks"
        stale_locks.remove(folder, stale_locks.stale(world.engine.database, folder))
        where = f"crashed before point {point}, {crashed_before}"
        assert world.engine.item_states(job) == [ends_as], where
        assert world.look() == [], where
        if crashed_before is None:
            assert point > EVERY, "no point was found"
            print(f"{len(range(1, point, EVERY))} points")
            return


def crash(world: World, job: str, point: int) -> str | None:
    """Another process takes the job to its end; what the point was that it crashed before, or
    None if it came to the end of everything."""

    def goes_so_far(say: Say) -> None:
        def reached(number: int, what: str) -> None:
            if number == point:
                say(what)
                os._exit(CRASHED)

        points = Points(reached)
        engine = world.another_engine()
        points.install()
        settle(engine, job, points)

    with forked(goes_so_far) as child:
        said, status = child.said(), child.wait()
    assert status in {0, CRASHED}, said
    return said if status == CRASHED else None


def settle(engine: Engine, job: str, points: Points | None = None) -> None:
    """Until the job has ended, and then what is left to do later."""
    engine.start(job)
    after = 0
    for _ in range(ROUNDS):
        engine.sweep()
        with uncounted(points):
            engine.pass_time(ROUND_S)
        engine.sweep()
        after += engine.scalar("SELECT state = 'Finished' FROM jobs WHERE uuid = :job", job=job)
        if after > ROUNDS_AFTER:
            return
    raise AssertionError("not at rest")


@contextmanager
def uncounted(points: Points | None) -> Iterator[None]:
    if points:
        points.counting = False
    yield
    if points:
        points.counting = True
