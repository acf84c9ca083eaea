"""The audit finds each kind of leftover on real files, removes what is provably ours, and sees
nothing where work is going on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.queue import TaskName
from app.store.models import JobKind
from tests.integration.engine.test_trouble import Killed
from tests.integration.real_files import World, real_files
from tests.storage import MIB
from workers.fence import HostLock
from workers.ops.doctor.findings import Finding, Kind, exit_status

NOBODY = "f" * 32
ACCOUNT = "a" * 32


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with real_files(database_url, tmp_path) as made:
        yield made


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return sorted((finding.kind.value, finding.thing) for finding in findings)


def test_after_a_job_there_is_nothing(world: World) -> None:
    world.clone("a", "b")
    assert world.engine.scalar("SELECT count(*) FROM volumes WHERE origin = 'cloned'") == 4
    assert world.look() == []
    assert exit_status([]) == 0


VOLUME = f"rootVolumes/acct-{ACCOUNT}/vol-{NOBODY}/{NOBODY}.qcow2"
PLANTED = {
    VOLUME: "volume",
    f"dataVolumes/acct-{ACCOUNT}/vol-{NOBODY}/{NOBODY}.raw": "volume",
    f"imagecache/{NOBODY}.qcow2": "base",
    f"work/{NOBODY}.part": "part",
    f"seeds/{NOBODY}.iso": "seed",
}


@pytest.mark.parametrize("inside", PLANTED)
def test_a_file_that_nobody_knows_is_found_and_removed(world: World, inside: str) -> None:
    world.clone("a")
    planted = world.plant(inside)
    findings = world.look()
    assert kinds(findings) == [("orphan", PLANTED[inside])]
    assert findings[0].name == str(planted)
    assert (findings[0].bytes or 0) >= 4096
    assert exit_status(findings) == 1
    assert planted.exists(), "only --repair removes"
    (repaired,) = world.look(repair=True)
    assert repaired.repaired
    assert exit_status([repaired]) == 0
    assert not planted.exists()
    assert world.look() == []


def test_what_somebody_holds_the_lock_of_is_left_to_him(world: World) -> None:
    """A worker that froze in the middle of a copy, whose item others have ended meanwhile."""
    job = world.clone("a")
    (item,) = world.engine.rows("SELECT uuid, vm_uuid, volume_uuids FROM items")
    world.engine.start(world.removal(job, JobKind.EXPUNGE))
    left = world.plant(f"work/{item.volume_uuids[0]}.part")
    world.settings.lock_folder.mkdir(exist_ok=True)
    frozen = HostLock(world.settings.lock_folder, item.uuid, fence=1)
    assert frozen.try_acquire()
    (finding,) = [f for f in world.look(repair=True) if f.thing == "part"]
    assert not finding.repaired
    assert "a process holds its lock" in finding.why
    assert left.exists()
    frozen.release()
    (finding,) = world.look(repair=True)
    assert finding.repaired
    assert not left.exists()


def test_an_empty_volume_folder_is_removed(world: World) -> None:
    folder = (world.storage / VOLUME).parent
    folder.mkdir(parents=True)
    assert kinds(world.look(repair=True)) == [("orphan", "volumeFolder")]
    assert not folder.exists()


@pytest.mark.parametrize(
    "inside", ["rootVolumes/notes.txt", f"imagecache/{NOBODY}.iso", "work/mine/x.qcow2"]
)
def test_what_is_no_name_of_ours_is_told_and_never_removed(world: World, inside: str) -> None:
    planted = world.plant(inside)
    assert kinds(world.look(repair=True)) == [("foreign", "file")]
    assert planted.exists()


def test_a_link_is_followed_nowhere(world: World, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / f"{NOBODY}.qcow2").write_bytes(b"precious")
    (world.storage / "rootVolumes").mkdir(exist_ok=True)
    (world.storage / "rootVolumes" / f"acct-{ACCOUNT}").symlink_to(precious)
    (world.storage / "imagecache" / f"{NOBODY}.raw").symlink_to(precious / f"{NOBODY}.qcow2")
    assert {finding.kind for finding in world.look(repair=True)} == {Kind.FOREIGN}
    assert (precious / f"{NOBODY}.qcow2").read_bytes() == b"precious"


def test_a_source_below_the_root_is_not_touched(world: World) -> None:
    adopted = world.plant("golden/golden.qcow2")
    assert world.look(repair=True) == []
    assert adopted.exists()


def test_a_volume_whose_file_is_gone_is_told(world: World) -> None:
    world.clone("a")
    path = world.engine.scalar(
        "SELECT install_path FROM volumes WHERE origin = 'cloned' AND type = 'Data'"
    )
    os.unlink(path)
    findings = world.look(repair=True)
    assert ("missing", "volume") in kinds(findings)
    assert findings[0].name == path
    assert exit_status(findings) == 1


def test_a_volume_of_another_size_is_told(world: World) -> None:
    world.clone("a", systemTags=["cloneMode::full"])
    path = world.engine.scalar(
        "SELECT install_path FROM volumes WHERE origin = 'cloned' AND type = 'Data'"
    )
    os.truncate(path, 2 * MIB)
    assert kinds(world.look()) == [("wrong", "volume")]


def test_domains_that_nobody_has_and_that_are_missing(world: World) -> None:
    world.clone("a")
    defined = world.settings.home / "simulator" / world.inventory.hosts[0] / "defined"
    (mine,) = list(defined.iterdir())
    (defined / NOBODY).touch()
    mine.unlink()
    assert kinds(world.look()) == [("missing", "domain"), ("orphan", "domain")]
    assert kinds(world.look(repair=True)) == [("missing", "domain"), ("orphan", "domain")]
    assert not (defined / NOBODY).exists()
    assert kinds(world.look()) == [("missing", "domain")]


def test_reservations_and_addresses_of_nobody_are_given_back(world: World) -> None:
    world.clone("a")
    world.say(
        "INSERT INTO reservations (uuid, kind, resource_uuid, holder_uuid, amount) SELECT "
        f"'{NOBODY}', 'Cpu', uuid, '{NOBODY}', 7 FROM hosts"
    )
    world.say("UPDATE host_capacities SET available_cpu = available_cpu - 7")
    world.say(
        "INSERT INTO used_ips (uuid, l3_network_uuid, ip, ip_in_long, ip_version) SELECT "
        f"'{NOBODY}', uuid, '10.0.0.11', 167772171, 4 FROM l3_networks"
    )
    found = kinds(world.look())
    assert found == [("orphan", "address"), ("orphan", "reservation")]
    world.look(repair=True)
    assert world.look() == []


def test_a_capacity_that_does_not_add_up_is_set_right(world: World) -> None:
    world.clone("a")
    world.say("UPDATE host_capacities SET available_memory = available_memory - 5")
    world.say("UPDATE storage_capacities SET available_bytes = available_bytes - 5")
    assert kinds(world.look()) == [("wrong", "available memory"), ("wrong", "available storage")]
    assert all(finding.repaired for finding in world.look(repair=True))
    assert world.look() == []


def test_counters_that_do_not_add_up_are_for_people(world: World) -> None:
    world.clone("a")
    world.say("UPDATE job_counters SET succeeded = 0")
    (finding,) = world.look(repair=True)
    assert (finding.thing, finding.repaired) == ("ended names", False)


def test_a_lock_file_of_nobody_is_removed(world: World) -> None:
    world.clone("a")
    stale = world.settings.home / "locks" / f"{NOBODY}.lock"
    stale.touch()
    assert kinds(world.look()) == [("orphan", "lock file")]
    world.look(repair=True)
    assert not stale.exists()


def test_without_its_marker_a_storage_was_not_looked_at(world: World) -> None:
    world.clone("a")
    (world.storage / ".vmclone-storage").unlink()
    findings = world.look(repair=True)
    assert kinds(findings) == [("unseen", "storage")]
    assert exit_status(findings) == 2
    assert len(list(world.storage.rglob("*.qcow2"))) == 2


def test_what_other_machines_serve_is_named(world: World) -> None:
    world.say("UPDATE hosts SET machine_id = 'another'")
    findings = world.look()
    assert kinds(findings) == [("unseen", "place"), ("unseen", "place")]


CALLS = ["make_base", "clone", "attach_nics", "define", "start"]


@pytest.mark.parametrize("number", range(1, 14))
def test_between_any_two_messages_of_a_job_there_is_nothing(world: World, number: int) -> None:
    job = world.job("a", "b")
    world.engine.publisher.publish(TaskName.START, job)
    world.engine.publisher.publish(TaskName.SCHEDULE)
    for _ in range(number):
        if world.engine.publisher.messages:
            world.engine.run(world.engine.publisher.messages.popleft())
        assert world.look(repair=True) == []
    world.engine.drain()
    world.engine.sweep()
    assert set(world.engine.item_states(job)) == {"Succeeded"}


def test_what_a_killed_worker_left_is_its_items_and_no_orphan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.hypervisors.simulator import SimulatorHypervisor

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(SimulatorHypervisor, "start", die)
        with pytest.raises(Killed):
            world.clone("a")
    assert len(list(world.storage.rglob("*.qcow2"))) == 2
    assert world.look(repair=True) == []


def test_a_base_in_its_grace_period_is_no_orphan(world: World) -> None:
    world.clone("a")
    assert len(list((world.storage / "imagecache").iterdir())) == 2
    assert world.look(repair=True) == []
    assert len(list((world.storage / "imagecache").iterdir())) == 2
