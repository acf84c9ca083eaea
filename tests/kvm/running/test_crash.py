"""Worker and libvirtd are killed at every window of a running source's snapshot: the source is as
before each time, and its guest never stops."""

import os
import signal
from functools import partial
from itertools import count
from typing import Any

from app.queue import TaskName
from tests.engine import Engine
from tests.integration.child import Say
from tests.integration.points import Points
from tests.kvm.running.engine import ENDED_WELL, EVERY, ROUND_S, WITHIN_S, KvmWorld
from tests.kvm.running.killing import Window, kills_libvirtd

MOST_POINTS = 300
CALLS = ("snapshotCreateXML", "blockCommit", "blockJobAbort")


def test_a_worker_is_killed_at_each_point_of_its_way(world: KvmWorld) -> None:
    for point in count(1, EVERY):
        assert point < MOST_POINTS
        job = world.job()
        crashed_before = crash(world, job, point)
        where = f"killed before point {point}, {crashed_before}"
        assert world.end(job) == ENDED_WELL, where
        world.source.assert_as_before()
        if crashed_before is None:
            print(f"{len(range(1, point, EVERY))} points")
            return


def crash(world: KvmWorld, job: str, point: int) -> str | None:
    """What the point was that a worker was killed before, in making the base or ending the
    snapshot; None if it came to the end of everything."""

    def goes_so_far(engine: Engine, say: Say) -> None:
        def reached(number: int, what: str) -> None:
            if number == point:
                say(what)
                os.kill(os.getpid(), signal.SIGKILL)

        points = Points(reached)
        points.install()
        watch_libvirt(points)
        points.counting = False
        watched(engine, points)
        engine.start(job)

    with world.process(goes_so_far) as child:
        status, said = child.wait(WITHIN_S), child.said()
    assert status in {0, -signal.SIGKILL}, said
    return said if status else None


def watch_libvirt(points: Points) -> None:
    import libvirt
    import libvirt_qemu

    points.watch(libvirt.virDomain, *CALLS, "suspend", "resume")
    points.watch(libvirt.virConnect, "defineXMLFlags")
    points.watch(libvirt_qemu, "qemuMonitorCommand")


def watched(engine: Engine, points: Points) -> None:
    """Only making the base and ending the snapshot count: the rest of a job's way is walked
    elsewhere."""
    run = engine.run

    def counted(message: Any) -> None:
        points.counting = message[0] is TaskName.PREPARE_BASE
        run(message)
        points.counting = False

    engine.run = counted  # type: ignore[method-assign]


# While each call is under way libvirtd is killed so many milliseconds after its beginning; the
# calls take some 30, 3 and 5.
WINDOWS = [
    *(Window(f"virDomain.{call}", None) for call in CALLS),
    *(Window("virDomain.snapshotCreateXML", delay_ms) for delay_ms in range(0, 36, 2)),
    *(Window("virDomain.blockCommit", delay_ms / 2) for delay_ms in range(8)),
    *(Window("virDomain.blockJobAbort", delay_ms / 2) for delay_ms in range(12)),
]


def test_libvirtd_is_killed_at_each_window(world: KvmWorld) -> None:
    source = world.source
    for window in WINDOWS[::EVERY]:
        job = world.job()
        world.run(partial(kills_libvirtd, job, window))
        source.host.start_libvirtd()
        if not source.runs():
            assert_put_back_once_stopped(world, job)
        assert world.end(job) == ENDED_WELL, window
        if "job" in source.disks(inactive=False)["vda"]:
            assert_put_back_behind_libvirt(world)
        source.assert_as_before()
    print(f"{len(WINDOWS[::EVERY])} windows")


def assert_put_back_behind_libvirt(world: KvmWorld) -> None:
    """libvirt was killed between QEMU's pivot and its own note of it, and takes the overlay for
    the disk's file for as long as the guest runs. QEMU does not, nor will the next start."""
    source = world.source
    print("libvirt lost track of a pivot")
    assert source.disks(inactive=True) == {t: [str(p)] for t, p in source.files.items()}
    source.assert_writes_on()
    source.stop()
    source.start()

    def looks_again(engine: Engine, say: Say) -> None:
        engine.pass_time(ROUND_S)
        engine.sweep()

    world.run(looks_again)


def assert_put_back_once_stopped(world: KvmWorld, job: str) -> None:
    """libvirt was killed in the middle of a pivot, cannot read its own notes of it, and takes the
    guest for stopped. The guest runs on all the same, and nothing of it is touched."""
    source = world.source
    print("libvirt lost sight of the guest")
    said = world.end(job)
    assert "Running None crash" in said
    assert "a process has" in said
    source.assert_writes_on()
    written = source.written()
    source.host.run("sh", "-c", "kill $(cat /run/libvirt/qemu/golden.pid)")
    assert world.end(job) == ENDED_WELL
    source.start()
    source.assert_has(written)
