"""VMs that a job made are destroyed, kept for a while, and expunged until nothing is left."""

from typing import Any

import pytest

from app.domain.errors import OperationFailed, StorageUnavailable
from app.queue import TaskName
from app.store import control, removals
from app.store.models import JobKind
from tests.factories import ADMIN
from tests.integration.engine.conftest import Faked
from tests.integration.engine.test_trouble import Killed, fails


def cloned(faked: Faked, *names: str, **parameters: Any) -> str:
    job = faked.job(*names, full=True, **parameters)
    faked.engine.start(job)
    assert set(faked.engine.item_states(job)) == {"Succeeded"}
    return job


def asked(faked: Faked, job: str, kind: JobKind = JobKind.DESTROY) -> str:
    def work(connection: Any) -> str:
        vms = removals.made_by(connection, job, kind)
        return removals.ask(connection, vms, account_uuid=ADMIN, kind=kind)

    return faked.engine.database.run(work)


def removed(faked: Faked, job: str, kind: JobKind = JobKind.DESTROY, *, twice: bool = False) -> str:
    removal = asked(faked, job, kind)
    faked.engine.start(removal, twice=twice)
    return removal


def vm_states(faked: Faked) -> list[str]:
    rows = faked.engine.rows(
        "SELECT state::text FROM vm_instances WHERE origin = 'cloned' ORDER BY name"
    )
    return [row.state for row in rows]


def outcome(faked: Faked, job: str) -> str:
    return str(faked.engine.scalar("SELECT outcome::text FROM jobs WHERE uuid = :job", job=job))


def held(faked: Faked, kind: str) -> int:
    return int(
        faked.engine.scalar(
            "SELECT count(*) FROM reservations WHERE kind = CAST(:kind AS reservation_kind)",
            kind=kind,
        )
    )


@pytest.mark.parametrize("twice", [False, True])
def test_destroyed_vms_keep_files_and_addresses_and_nothing_of_the_host(
    faked: Faked, twice: bool
) -> None:
    job = cloned(faked, "a", "b")
    files, addresses = (
        dict(faked.storage.volumes),
        faked.engine.scalar("SELECT count(*) FROM used_ips"),
    )
    removal = removed(faked, job, twice=twice)
    assert outcome(faked, removal) == "Succeeded"
    assert list(faked.hypervisor.domains.values()) == [False, False], "kept, for a recovery"
    assert vm_states(faked) == ["Destroyed", "Destroyed"]
    assert faked.storage.volumes == files
    assert faked.engine.scalar("SELECT count(*) FROM used_ips") == addresses
    assert (held(faked, "Cpu"), held(faked, "Memory")) == (0, 0)
    assert held(faked, "Storage") >= 4
    assert faked.engine.scalar("SELECT count(*) FROM vm_instances WHERE host_uuid IS NOT NULL") == 0
    faked.capacity_adds_up()


@pytest.mark.parametrize("destroyed_before", [False, True])
def test_expunged_vms_leave_nothing(faked: Faked, destroyed_before: bool) -> None:
    job = cloned(faked, "a", "b", userTags=["t"], systemTags=["cdroms::empty"])
    if destroyed_before:
        removed(faked, job)
    removal = removed(faked, job, JobKind.EXPUNGE)
    assert outcome(faked, removal) == "Succeeded"
    assert faked.storage.volumes == {}
    assert faked.hypervisor.nics == set()
    faked.nothing_left_of("a", "b")


def test_the_clone_job_s_own_result_stays_as_it_is(faked: Faked) -> None:
    job = cloned(faked, "a")
    before = faked.engine.scalar("SELECT body FROM job_results WHERE job_uuid = :j", j=job)
    removed(faked, job, JobKind.EXPUNGE)
    assert faked.engine.scalar("SELECT body FROM job_results WHERE job_uuid = :j", j=job) == before


@pytest.mark.parametrize("call", ["destroy", "undefine", "detach_nics", "delete_volume"])
def test_a_killed_worker_s_removal_goes_on(faked: Faked, call: str) -> None:
    job = cloned(faked, "a")
    (faked.storage if call == "delete_volume" else faked.hypervisor).before = fails(call, Killed())
    removal = asked(faked, job, JobKind.EXPUNGE)
    with pytest.raises(Killed):
        faked.engine.start(removal)
    faked.engine.sweep()
    faked.engine.pass_time(20)
    faked.engine.sweep()
    assert outcome(faked, removal) == "Succeeded"
    faked.nothing_left_of("a")


def test_a_passing_fault_is_tried_again(faked: Faked) -> None:
    job = cloned(faked, "a")
    faked.storage.before = fails("delete_volume", StorageUnavailable("not mounted"))
    removal = removed(faked, job, JobKind.EXPUNGE)
    assert faked.engine.item_states(removal) == ["Granted"]
    assert vm_states(faked) == ["Expunging"]
    faked.engine.pass_time(3)
    faked.engine.sweep()
    assert outcome(faked, removal) == "Succeeded"


def test_a_vm_that_cannot_be_removed_is_as_its_host_has_it(faked: Faked) -> None:
    job = cloned(faked, "a", "b")
    faked.hypervisor.before = fails("destroy", OperationFailed("the domain is stuck"))
    removal = removed(faked, job)
    assert sorted(faked.engine.item_states(removal)) == ["Failed", "Succeeded"]
    assert sorted(vm_states(faked)) == ["Destroyed", "Running"]
    assert outcome(faked, removal) == "PartiallySucceeded"
    faked.capacity_adds_up()
    removed(faked, job)
    assert vm_states(faked) == ["Destroyed", "Destroyed"]


def test_a_record_alone_is_removed_without_a_host(faked: Faked) -> None:
    job = faked.job("a", strategy="JustCreate")
    faked.engine.start(job)
    removal = removed(faked, job)
    assert (outcome(faked, removal), vm_states(faked)) == ("Succeeded", ["Destroyed"])
    removed(faked, job, JobKind.EXPUNGE)
    faked.nothing_left_of("a")


def test_what_vmclone_did_not_make_is_never_removed(faked: Faked) -> None:
    source = faked.inventory.source
    removal = faked.engine.database.run(
        lambda c: removals.ask(c, [source], account_uuid=ADMIN, kind=JobKind.EXPUNGE)
    )
    faked.engine.start(removal)
    error = faked.engine.scalar("SELECT error FROM items")
    assert (outcome(faked, removal), error["code"]) == ("Failed", "SYS.1007")
    assert "never removes what it did not make" in error["details"]
    assert faked.engine.scalar("SELECT state::text FROM vm_instances") == "Stopped"


def test_one_operation_on_a_vm_at_a_time(faked: Faked) -> None:
    job = cloned(faked, "a")
    first, second = asked(faked, job), asked(faked, job, JobKind.EXPUNGE)
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    faked.engine.start(first)
    faked.engine.start(second)
    assert faked.engine.item_states(first) == ["Granted"]
    assert faked.engine.item_states(second) == ["Failed"]
    error = faked.engine.scalar("SELECT error FROM items WHERE job_uuid = :j", j=second)
    assert (error["code"], "another operation" in error["details"]) == ("VM.1010", True)


def test_a_clone_that_is_being_copied_is_not_removed(faked: Faked) -> None:
    job = cloned(faked, "a")
    clone = faked.engine.scalar("SELECT vm_uuid FROM items")
    faked.inventory.source = clone
    second = faked.job("b")
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.PREPARE_BASE
    faked.engine.start(second)
    removal = removed(faked, job, JobKind.EXPUNGE)
    assert faked.engine.item_states(removal) == ["Failed"]
    faked.engine.publisher.lost = lambda _: False
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert faked.engine.item_states(second) == ["Succeeded"]


def test_a_clone_s_clones_stand_when_it_is_gone(faked: Faked) -> None:
    job = cloned(faked, "a")
    faked.inventory.source = faked.engine.scalar("SELECT vm_uuid FROM items")
    grandchild = cloned(faked, "b", systemTags=["cloneMode::linked"])
    removed(faked, job, JobKind.EXPUNGE)
    faked.engine.pass_time(10**6)
    faked.engine.sweep()
    volumes = faked.engine.rows(
        "SELECT b.uuid FROM volumes v JOIN bases b ON b.uuid = v.base_uuid "
        "JOIN items i ON i.vm_uuid = v.vm_instance_uuid WHERE i.job_uuid = :job",
        job=grandchild,
    )
    assert len(volumes) == 2
    assert {row.uuid for row in volumes} <= set(faked.storage.bases)


def test_cancelled_before_a_worker_took_it_the_vm_is_as_it_was(faked: Faked) -> None:
    job = cloned(faked, "a")
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    removal = removed(faked, job)
    assert vm_states(faked) == ["Destroying"]
    faked.engine.database.run(lambda c: control.cancel_job(c, removal))
    faked.engine.sweep()
    assert outcome(faked, removal) == "Canceled"
    assert vm_states(faked) == ["Running"]
    assert len(faked.storage.volumes) == 2
    assert held(faked, "Cpu") == 1


def test_a_removal_outlives_its_account(faked: Faked) -> None:
    removal = asked(faked, cloned(faked, "a"))
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE jobs SET account_uuid = repeat('0', 32) WHERE uuid = '{removal}'"
        )
    faked.engine.start(removal)
    assert outcome(faked, removal) == "Succeeded"


def test_a_silent_host_s_removal_waits_for_it(faked: Faked) -> None:
    job = cloned(faked, "a")
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    removal = removed(faked, job)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = now() - interval '1 hour'")
    faked.engine.sweep()
    assert faked.engine.item_states(removal) == ["Waiting"]
    assert faked.engine.scalar("SELECT wait_reason::text FROM jobs WHERE kind = 'destroy'") == (
        "hostLost"
    )
    assert (vm_states(faked), held(faked, "Cpu")) == (["Running"], 1)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = now() + interval '1 hour'")
    faked.engine.publisher.lost = lambda _: False
    faked.engine.sweep()
    assert (outcome(faked, removal), vm_states(faked)) == ("Succeeded", ["Destroyed"])


def test_an_expunge_of_long_ago_s_waits_for_its_host_as_well(faked: Faked) -> None:
    removed(faked, cloned(faked, "a"))
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = now() - interval '1 hour'")
    for _ in range(2):
        faked.engine.pass_time(8 * 86400)
        faked.engine.sweep()
    assert vm_states(faked) == ["Destroyed"], "what is not begun can be called off"
    assert faked.engine.scalar("SELECT count(*) FROM jobs WHERE kind = 'expunge'") == 1
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = now() + interval '1 hour'")
    faked.engine.sweep()
    faked.nothing_left_of("a")


def test_destroyed_vms_are_expunged_after_a_week(faked: Faked) -> None:
    job = cloned(faked, "a", "b")
    removed(faked, job)
    faked.engine.pass_time(6.9 * 86400)
    faked.engine.sweep()
    assert vm_states(faked) == ["Destroyed", "Destroyed"]
    faked.engine.pass_time(0.2 * 86400)
    faked.engine.sweep()
    faked.nothing_left_of("a", "b")
    assert faked.engine.scalar("SELECT count(*) FROM jobs WHERE kind = 'expunge'") == 1


def test_an_expunge_that_failed_is_not_asked_for_again_at_once(faked: Faked) -> None:
    job = cloned(faked, "a")
    removed(faked, job)
    faked.storage.before = fails("delete_volume", OperationFailed("a folder is in the way"))
    faked.engine.pass_time(8 * 86400)
    faked.engine.sweep()
    assert vm_states(faked) == ["Destroyed"]
    faked.engine.sweep()
    assert faked.engine.scalar("SELECT count(*) FROM jobs WHERE kind = 'expunge'") == 1
    faked.engine.pass_time(3700)
    faked.engine.sweep()
    faked.nothing_left_of("a")


def test_finished_jobs_go_with_items_steps_and_events_a_bounded_number_at_a_time(
    faked: Faked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.store.due.EXPIRED_ITEMS", 2)
    job = cloned(faked, "a", "b", "c")
    faked.engine.pass_time(29 * 86400)
    faked.engine.sweep()
    assert faked.engine.scalar("SELECT count(*) FROM items WHERE job_uuid = :j", j=job) == 3
    faked.engine.pass_time(2 * 86400)
    faked.engine.sweep()
    assert faked.engine.scalar("SELECT count(*) FROM items") == 1
    assert faked.engine.scalar("SELECT count(*) FROM job_results") == 1, "still polled"
    faked.engine.sweep()
    faked.engine.sweep()
    for table in ("jobs", "items", "steps", "events", "job_results", "job_counters"):
        assert faked.engine.scalar(f"SELECT count(*) FROM {table}") == 0, table
    assert vm_states(faked) == ["Running"] * 3, "what they made stands"
