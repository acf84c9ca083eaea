"""What may happen to a running source while it is cloned, each said by name, and nothing of it
hurts the source."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import Event
from typing import Any

import pytest
from sqlalchemy import text

from tests.engine import Engine
from tests.integration.child import Say
from tests.kvm.running.engine import ENDED_WELL, WITHIN_S, KvmWorld
from tests.kvm.running.source import NAME
from tests.kvm.waiting import until
from workers import base_copy, put_back, running_source

Trouble = Callable[[Any], None]  # with the source's domain


def domain_of_source() -> Any:
    import libvirt

    return libvirt.open("qemu:///system").lookupByName(NAME)


@dataclass(frozen=True, slots=True)
class Cloned:
    base: str  # what became of it
    written: int  # by the source, to its overlays


def clone_with(world: KvmWorld, job: str, meanwhile: Trouble) -> Cloned:
    """`meanwhile` comes when the source has written to its overlays and the first volume is about
    to be copied."""
    is_still, may_go_on = Event(), Event()

    def cloned(engine: Engine, say: Say) -> None:
        copy = base_copy.copy_all

        def troubled(*arguments: Any) -> Any:
            is_still.set()
            assert may_go_on.wait(60)
            meanwhile(domain_of_source())
            return copy(*arguments)

        vars(running_source)["copy_all"] = troubled
        engine.start(job)
        say(str(engine.rows("SELECT state, wait_reason, error->>'details' FROM base_sets")))

    with world.process(cloned) as child:
        until(is_still.is_set, "the source is held still", within_s=30)
        before = world.source.written()
        until(lambda: world.source.written() > before, "it writes on", within_s=30)
        written = world.source.written()
        may_go_on.set()
        status, said = child.wait(WITHIN_S), child.said()
    assert status == 0, said
    return Cloned(said, written)


def shut_down(domain: Any) -> None:
    domain.shutdown()
    until(lambda: not domain.isActive(), "the guest stops", within_s=30)


def power_cycle(domain: Any) -> None:
    domain.destroy()
    domain.create()


def test_a_source_that_is_stopped_meanwhile(world: KvmWorld) -> None:
    source, job = world.source, world.job()
    cloned = clone_with(world, job, shut_down)
    assert world.end(job) == ENDED_WELL
    assert source.disks(inactive=True) == {t: [str(p)] for t, p in source.files.items()}
    source.start()
    source.assert_has(cloned.written)
    source.assert_as_before()


def test_a_source_that_is_started_again_meanwhile(world: KvmWorld) -> None:
    source, job = world.source, world.job()
    cloned = clone_with(world, job, power_cycle)
    source.boots += 1
    assert world.end(job) == ENDED_WELL, cloned.base
    source.assert_has(cloned.written)
    source.assert_as_before()


BACKUP = """
<domainbackup mode='pull'><server transport='unix' socket='{images}/nbd'/><disks>
<disk name='vda' backup='no'/><disk name='sda' backup='no'/>
<disk name='vdb' backup='yes' type='file'><scratch file='{images}/scratch.qcow2'/></disk>
</disks></domainbackup>"""
COPY = "<disk type='file'><source file='{images}/copy.raw'/><driver type='raw'/></disk>"


@pytest.mark.parametrize(
    ("begin", "cease", "named"),
    [
        (
            lambda domain, images: domain.backupBegin(BACKUP.format(images=images), None, 0),
            lambda domain: domain.abortJob(),
            "backup",
        ),
        (
            lambda domain, images: domain.blockCopy("vdb", COPY.format(images=images), {}, 4),
            lambda domain: domain.blockJobAbort("vdb", 0),
            "a block copy is under way on disk vdb",
        ),
    ],
    ids=["backup", "block copy"],
)
def test_a_source_that_somebody_else_is_at(
    world: KvmWorld, begin: Any, cease: Any, named: str
) -> None:
    source, job = world.source, world.job()
    with source.host.connection() as libvirtd:
        domain = libvirtd.lookupByName(NAME)
        begin(domain, source.images)

        def waits(engine: Engine, say: Say) -> None:
            engine.start(job)
            say(str(engine.rows("SELECT wait_reason, error->>'details' FROM base_sets")))
            say(str(engine.rows("SELECT wait_reason FROM jobs WHERE uuid = :u", u=job)))

        said = world.run(waits)
        cease(domain)
    assert "sourceBusy" in said
    assert named in said
    assert world.end(job) == ENDED_WELL
    source.assert_as_before()


def test_a_source_that_writes_more_than_it_may(world: KvmWorld) -> None:
    source, job = world.source, world.job()
    tight = replace(
        world,
        settings=world.settings.model_copy(
            update={"snapshot_share": 0.0, "snapshot_minimum_bytes": 4096}
        ),
    )
    cloned = clone_with(tight, job, lambda domain: None)
    assert "may write 4096" in cloned.base
    source.assert_as_before()
    assert world.end(job) == ENDED_WELL
    source.assert_as_before()


def test_a_job_that_is_cancelled_meanwhile(world: KvmWorld) -> None:
    source, job = world.source, world.job()

    def cancel(domain: Any) -> None:
        with world.database() as database, database.engine.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET cancel_requested_at = now() WHERE uuid = :u"), {"u": job}
            )

    clone_with(world, job, cancel)
    source.assert_as_before()
    assert world.end(job).startswith("Finished Canceled")
    source.assert_as_before()


def test_a_guest_that_writes_faster_than_it_is_put_back(world: KvmWorld) -> None:
    source, job = world.source, world.job()

    def hurried(engine: Engine, say: Say) -> None:
        import libvirt

        put_back.CONVERGE_S = 0
        real = libvirt.virDomain.suspend
        suspended: list[str] = []
        look_behind(lambda: not suspended)

        def seen(domain: Any) -> int:
            suspended.append(domain.name())
            return int(real(domain))

        libvirt.virDomain.suspend = seen
        engine.start(job)
        say(str(suspended))

    assert world.run(hurried) == f"['{NAME}']"
    assert world.end(job) == ENDED_WELL
    source.assert_as_before()


def look_behind(never_ready: Callable[[], bool]) -> None:
    """Commits look as if the guest were always ahead of them for as long as `never_ready` says."""
    from app.domain.snapshots import BlockJob
    from workers.hypervisors.kvm.snapshots import KvmSnapshots

    look = KvmSnapshots.look

    def slow(self: Any, *arguments: Any, **named: Any) -> Any:
        seen = look(self, *arguments, **named)
        behind = seen.job is BlockJob.READY and never_ready()
        return replace(seen, job=BlockJob.RUNNING) if behind else seen

    KvmSnapshots.look = slow  # type: ignore[method-assign]
