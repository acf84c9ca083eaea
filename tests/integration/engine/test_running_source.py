"""A running source is owed its disks: what waits for that, what does not, and who pays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DomainBusy, HostDisconnected, SourceVolumeBusy
from app.domain.snapshots import BlockJob, DiskLook, Place
from app.store import job_views
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.snapshots import FakeSnapshots, Seen
from tests.integration.real_files import World, real_files
from workers.lease import Draining, Lease


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with real_files(database_url, tmp_path, base_grace_s=0) as made:
        yield made


@pytest.fixture
def snapshots(world: World, tmp_path: Path) -> FakeSnapshots:
    snapshots = FakeSnapshots(tmp_path / "snapshots")
    world.engine.worker.fake_hypervisor = FakeHypervisor(snapshots=snapshots, source_runs=True)
    return snapshots


def fails(snapshots: FakeSnapshots, at: str, error: Exception, *, times: int = 1) -> None:
    left = [times]

    def before(name: str) -> None:
        if name == at and left[0]:
            left[0] -= 1
            raise error

    snapshots.before = before


def view(world: World, job: str) -> dict[str, Any]:
    with world.engine.database.single() as connection:
        found = job_views.load_job(connection, job, account_uuid=None)
    assert found is not None
    return dict(found)


def held(world: World) -> int:
    """Reservations of what is neither a volume nor a base."""
    number: int = world.engine.scalar(
        "SELECT count(*) FROM reservations WHERE kind = 'Storage' AND holder_uuid NOT IN "
        "(SELECT uuid FROM volumes UNION ALL SELECT uuid FROM bases)"
    )
    return number


def later(world: World, seconds: float = 100) -> None:
    world.engine.pass_time(seconds)
    world.engine.sweep()


def assert_put_back(world: World, snapshots: FakeSnapshots) -> None:
    assert snapshots.seen == Seen()
    assert list((world.storage / "work").iterdir()) == []
    assert held(world) == 0
    assert world.engine.rows("SELECT * FROM source_snapshots") == []
    assert_nobodys_is_nothing(world)


def assert_nobodys_is_nothing(world: World) -> None:
    """Domains apart: the fake hypervisor has them."""
    assert [finding for finding in world.look() if finding.thing != "domain"] == []


def test_a_job_ends_with_its_source_put_back(world: World, snapshots: FakeSnapshots) -> None:
    job = world.clone("one", "two")
    assert view(world, job)["outcome"] == "Succeeded"
    assert view(world, job)["consistency"] == "filesystem"
    assert_put_back(world, snapshots)


def test_clones_begin_and_the_job_waits_while_the_source_is_owed(
    world: World, snapshots: FakeSnapshots
) -> None:
    fails(snapshots, "pivot", DomainBusy("a backup is under way"), times=5)
    fails(snapshots, "commit", DomainBusy("a backup is under way"), times=2)
    job = world.clone("one", "two")
    seen = view(world, job)
    assert (seen["state"], seen["succeeded"]) == ("Running", 2)
    assert "a backup is under way" in seen["sourceSnapshot"]["error"]["details"]
    assert held(world) == 2
    assert_nobodys_is_nothing(world)
    later(world)
    later(world)
    assert view(world, job)["outcome"] == "Succeeded"
    assert view(world, job)["sourceSnapshot"] is None
    assert_put_back(world, snapshots)


def test_a_full_clone_that_takes_its_bases_waits_as_well(
    world: World, snapshots: FakeSnapshots
) -> None:
    fails(snapshots, "commit", HostDisconnected("libvirt does not answer"))
    job = world.clone("one", systemTags=["cloneMode::full"])
    assert view(world, job)["state"] == "Running"
    later(world)
    assert view(world, job)["outcome"] == "Succeeded"
    later(world)
    assert_put_back(world, snapshots)
    assert world.engine.rows("SELECT * FROM base_sets") == []


def test_a_job_that_came_after_the_moment_gets_a_moment_of_its_own(
    world: World, snapshots: FakeSnapshots
) -> None:
    late: list[str] = []

    def before(name: str) -> None:
        if name == "frozen" and not late:
            late.append(world.job("late"))
            snapshots.before = lambda _: None
            world.engine.publisher.publish("vmclone.start", late[0])  # type: ignore[arg-type]

    snapshots.before = before
    job = world.clone("early")
    later(world)
    assert view(world, job)["outcome"] == view(world, late[0])["outcome"] == "Succeeded"
    moments = world.engine.rows(
        "SELECT DISTINCT s.frozen_at FROM base_sets s JOIN bases b ON b.base_set_uuid = s.uuid "
        "JOIN volumes v ON v.base_uuid = b.uuid"
    )
    assert len(moments) == 2
    assert_put_back(world, snapshots)


def test_a_snapshot_that_fails_is_looked_for_once_more(
    world: World, snapshots: FakeSnapshots
) -> None:
    fails(snapshots, "freeze", HostDisconnected("libvirt does not answer"))
    job = world.clone("one")
    (row,) = world.engine.rows("SELECT paid_at, frozen_at FROM source_snapshots")
    assert row.paid_at is not None
    assert row.frozen_at is None
    for _ in range(3):
        later(world)
    assert view(world, job)["outcome"] == "Succeeded"
    assert_put_back(world, snapshots)


def test_a_snapshot_that_came_late_is_found(world: World, snapshots: FakeSnapshots) -> None:
    """libvirt took it after who asked for it was gone, and nobody had seen it."""
    fails(snapshots, "freeze", HostDisconnected("libvirt does not answer"))
    job = world.clone("one")
    (row,) = world.engine.rows("SELECT disks FROM source_snapshots")
    for disk in row.disks:
        Path(disk["overlay_path"]).write_bytes(b"")
        snapshots.be(on=[*snapshots.seen.on, disk["overlay_path"]])
    for _ in range(3):
        later(world)
    assert view(world, job)["outcome"] == "Succeeded"
    assert_put_back(world, snapshots)


def test_an_overlay_that_libvirt_takes_for_the_disks_file_is_nobody_elses(
    world: World, snapshots: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed between a pivot and its own note of that. Nobody may commit such an overlay."""
    look = FakeSnapshots.look

    def killed_at_the_pivot(self: FakeSnapshots, *arguments: Any, **named: Any) -> DiskLook:
        seen = look(self, *arguments, **named)
        pivoted = seen.live is Place.NONE
        return replace(seen, live=Place.TOP, job=BlockJob.LOST) if pivoted else seen

    monkeypatch.setattr(FakeSnapshots, "look", killed_at_the_pivot)
    first = world.clone("one")
    assert view(world, first)["outcome"] == "Succeeded"
    fails(snapshots, "disks", SourceVolumeBusy("it stands on a snapshot of somebody else's"))
    second = world.clone("two")
    (waiting,) = world.engine.rows(
        "SELECT error->>'details' AS why FROM base_sets WHERE error IS NOT NULL"
    )
    assert "libvirt takes" in waiting.why
    monkeypatch.setattr(FakeSnapshots, "look", look)
    fails(snapshots, "nothing", SourceVolumeBusy("never"))
    for _ in range(3):
        later(world)
    assert view(world, second)["outcome"] == "Succeeded"
    assert_put_back(world, snapshots)


def test_a_base_without_room_is_refused_before_the_snapshot(
    world: World, snapshots: FakeSnapshots
) -> None:
    world.say("UPDATE storage_capacities SET available_bytes = 3000000, total_bytes = 3000000")
    job = world.clone("one")
    assert view(world, job)["outcome"] == "Failed"
    (failed,) = world.engine.rows("SELECT error->>'details' AS why FROM items")
    assert "may write to disk vd0" in failed.why
    later(world)
    assert_put_back(world, snapshots)


def test_a_worker_that_stops_puts_the_source_back_first(
    world: World, snapshots: FakeSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Lease.checkpoint
    stopping: list[bool] = []

    def drained(lease: Lease) -> None:
        checkpoint(lease)
        if stopping:
            raise Draining

    def before(name: str) -> None:
        if name == "frozen":
            stopping.append(True)

    snapshots.before = before
    monkeypatch.setattr(Lease, "checkpoint", drained)
    job = world.clone("one")
    assert world.engine.scalar("SELECT state::text FROM base_sets") == "Wanted"
    assert_put_back(world, snapshots)
    stopping.clear()
    snapshots.before = lambda _: None
    later(world)
    assert view(world, job)["outcome"] == "Succeeded"
