"""What becomes of a name when something fails or dies on its way."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.domain.errors import (
    CloneError,
    OperationFailed,
    PrimaryStorageFull,
    SourceVolumeBusy,
    SourceVolumeMissing,
    StorageUnavailable,
    VmStartFailed,
)
from app.domain.states import ItemState
from app.domain.steps import StepName
from app.queue import TaskName
from app.store import items, leases
from app.store.items import StepRecord
from app.store.leases import LeaseLost
from tests.integration.engine.conftest import Faked
from workers.lease import Lease


def host_of(faked: Faked) -> str:
    return faked.inventory.hosts[0]


def fails(name: str, error: BaseException, times: int = 1) -> Callable[[str], None]:
    """Raises at the first `times` calls of that name."""
    left = [times]

    def before(called: str) -> None:
        if called == name and left[0]:
            left[0] -= 1
            raise error

    return before


class Killed(BaseException):
    """What a SIGKILL looks like to the engine: nothing after it runs but the kernel's clean-up."""


def error_of(faked: Faked, name: str) -> Any:
    return faked.engine.scalar("SELECT error FROM items WHERE name = :name", name=name)


@pytest.mark.parametrize(
    ("fake", "call", "error"),
    [
        ("storage", "clone", PrimaryStorageFull()),
        ("hypervisor", "attach_nics", OperationFailed()),
        ("hypervisor", "define", OperationFailed()),
        ("hypervisor", "start", VmStartFailed()),
    ],
)
def test_a_final_fault_takes_its_name_back_and_no_other(
    faked: Faked, fake: str, call: str, error: CloneError
) -> None:
    getattr(faked, fake).before = fails(call, error)
    job = faked.job("a", "b", full=True)
    faked.engine.start(job)
    assert sorted(faked.engine.item_states(job)) == ["Failed", "Succeeded"]
    failed = faked.engine.scalar("SELECT name FROM items WHERE state = 'Failed'")
    faked.nothing_left_of(failed)
    assert error_of(faked, failed)["code"] == "SYS.1006"
    assert error_of(faked, failed)["cause"]["code"] == error.code
    assert faked.engine.scalar("SELECT outcome::text FROM jobs") == "PartiallySucceeded"


def test_a_passing_fault_is_tried_again_with_everything_kept(faked: Faked) -> None:
    faked.storage.before = fails("clone", StorageUnavailable("gone for a moment"))
    job = faked.job("a")
    faked.engine.start(job)
    item = faked.engine.rows("SELECT * FROM items")[0]
    assert (item.state, item.wait_reason, item.attempts) == ("Granted", "retry", 1)
    plan = item.plan
    faked.engine.pass_time(3)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Succeeded"]
    assert faked.engine.scalar("SELECT plan FROM items") == plan


def test_attempts_are_spent_in_the_end(faked: Faked) -> None:
    faked.storage.before = fails("clone", StorageUnavailable("away"), times=99)
    job = faked.job("a", deadline_s=10**6)
    faked.engine.start(job)
    for _ in range(10):
        faked.engine.pass_time(80)
        faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed"]
    assert error_of(faked, "a")["cause"]["cause"]["code"] == "PS.1003"
    faked.nothing_left_of("a")


def test_a_failing_undo_strands_the_name_and_keeps_what_it_holds(faked: Faked) -> None:
    def before(called: str) -> None:
        if called == "start":
            raise VmStartFailed
        if called == "undefine" and undefine_fails:
            raise OperationFailed("libvirt is away")

    undefine_fails = True
    faked.hypervisor.before = before
    job = faked.job("a")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Stranded"]
    # The volume may be open in the domain that could not be removed.
    assert len(faked.storage.volumes) == 1
    assert faked.engine.scalar("SELECT count(*) FROM reservations") > 0
    # The job has ended nevertheless, and says so once.
    assert faked.engine.scalar("SELECT state::text FROM jobs") == "Finished"
    undefine_fails = False
    faked.engine.pass_time(600)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed"]
    faked.nothing_left_of("a")
    assert faked.engine.scalar("SELECT failed FROM job_counters") == 1


@pytest.mark.parametrize("call", ["clone", "attach_nics", "define", "start"])
def test_a_killed_workers_item_goes_on_after_its_lease(faked: Faked, call: str) -> None:
    fake = faked.storage if call == "clone" else faked.hypervisor
    fake.before = fails(call, Killed())
    job = faked.job("a")
    with pytest.raises(Killed):
        faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Running"]
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Running"], "the lease has not lapsed"
    _let_leases_lapse(faked)
    assert faked.engine.item_states(job) == ["Succeeded"]
    assert len(faked.storage.volumes) == len(faked.hypervisor.domains) == 1
    assert faked.engine.scalar("SELECT lapses FROM items") == 1
    # A recorded step was not done again.
    assert faked.storage.calls.count("clone") == (2 if call == "clone" else 1)


@pytest.mark.parametrize("call", ["make_base", "clone", "hand_over", "delete_volume"])
def test_a_database_that_goes_away_fails_no_name(faked: Faked, call: str) -> None:
    mode = "full" if call == "hand_over" else "linked"
    if call == "delete_volume":
        faked.hypervisor.before = fails("define", OperationFailed())
    faked.storage.before = fails(call, _lost_connection(faked))
    job = faked.job("a", systemTags=[f"cloneMode::{mode}"])
    faked.engine.start(job)
    states = faked.engine.item_states(job)
    _let_leases_lapse(faked)
    if call == "delete_volume":
        assert states == ["RollingBack"]
        assert error_of(faked, "a")["cause"]["code"] == OperationFailed.code
        faked.nothing_left_of("a")
    else:
        assert faked.engine.item_states(job) == ["Succeeded"]


def _lost_connection(faked: Faked) -> Exception:
    """What SQLAlchemy raises when the server ends a connection that is in use."""
    with faked.engine.database.engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        faked.engine.scalar("SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
        with pytest.raises(DBAPIError) as lost:
            connection.scalar(text("SELECT 1"))
    return lost.value


def test_a_worker_killed_while_it_takes_the_base_leaves_it_to_the_next(faked: Faked) -> None:
    faked.storage.before = fails("hand_over", Killed())
    job = faked.job("a", systemTags=["cloneMode::full"])
    with pytest.raises(Killed):
        faked.engine.start(job)
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert len(faked.storage.bases) == 1, "it is promised, so nobody removes it"
    _let_leases_lapse(faked)
    assert faked.engine.item_states(job) == ["Succeeded"]
    assert (len(faked.storage.volumes), faked.storage.bases) == (1, {})


def _let_leases_lapse(faked: Faked) -> None:
    """Two passes more than a lease apart: after such a gap the sweeper spares them once."""
    for _ in range(2):
        faked.engine.pass_time(16)
        faked.engine.sweep()


def test_after_a_gap_the_sweeper_steals_nothing_for_one_lease(faked: Faked) -> None:
    faked.hypervisor.before = fails("define", Killed())
    with pytest.raises(Killed):
        faked.engine.start(faked.job("a"))
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sweeper_passes (id, passed_at, steals_from) VALUES "
            "(1, clock_timestamp() - interval '1 hour', clock_timestamp() - interval '1 hour')"
        )
    faked.engine.pass_time(16)
    faked.engine.sweep()
    assert faked.engine.scalar("SELECT state::text FROM items") == "Running"
    faked.engine.pass_time(16)
    faked.engine.sweep()
    assert faked.engine.scalar("SELECT state::text FROM items") == "Succeeded"


def test_after_a_gap_no_older_message_steals_either(faked: Faked) -> None:
    faked.hypervisor.before = fails("define", Killed())
    with pytest.raises(Killed):
        faked.engine.start(faked.job("a"))
    faked.engine.sweep()
    faked.engine.pass_time(16)
    uuid = faked.engine.scalar("SELECT uuid FROM items")

    def stolen() -> bool:
        return (
            leases.claim(faked.engine.database, uuid, host_of(faked), owner="late", lease_s=15)
            is not None
        )

    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE sweeper_passes SET passed_at = passed_at - '1h'::interval"
        )
    assert not stolen(), "no sweeper has looked since"
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    faked.engine.sweep()
    assert not stolen(), "the holder has not had its time yet"
    faked.engine.pass_time(16)
    assert stolen()


def test_a_worker_that_lost_its_lease_can_record_nothing(faked: Faked) -> None:
    faked.hypervisor.before = fails("define", Killed())
    with pytest.raises(Killed):
        faked.engine.start(faked.job("a"))
    late = faked.engine.rows("SELECT uuid FROM items")[0].uuid
    faked.engine.pass_time(16)
    database = faked.engine.database
    older = leases.claim(database, late, host_of(faked), owner="older", lease_s=0)
    newer = leases.claim(database, late, host_of(faked), owner="newer", lease_s=15)
    assert older is not None
    assert newer is not None
    record = StepRecord(step=StepName.DEFINE_VM, elapsed_s=0, bytes_done=0)
    with pytest.raises(LeaseLost):
        items.record_step(database, older, record, next_step=StepName.START_VM)
    with pytest.raises(LeaseLost):
        items.begin_rollback(
            database, older, StepName.DEFINE_VM, ItemState.FAILED, OperationFailed()
        )
    items.record_step(database, newer, record, next_step=StepName.START_VM)


def test_a_lease_is_not_good_beyond_its_time() -> None:
    lease = Lease(lambda _: None, lease_s=5, claimed_at_s=-100)
    with pytest.raises(LeaseLost):
        lease.checkpoint()


def test_a_claimed_item_cannot_be_claimed_twice(faked: Faked) -> None:
    faked.hypervisor.before = fails("define", Killed())
    with pytest.raises(Killed):
        faked.engine.start(faked.job("a"))
    uuid = faked.engine.rows("SELECT uuid FROM items")[0].uuid
    assert (
        leases.claim(faked.engine.database, uuid, host_of(faked), owner="other", lease_s=15) is None
    )


def test_grants_of_a_silent_host_wait_again(faked: Faked) -> None:
    faked.engine.publisher.lost = lambda message: message[0] == "vmclone.clone_vm"
    job = faked.job("a")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Granted"]
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE hosts SET seen_at = clock_timestamp() - interval '1 minute'"
        )
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Waiting"]
    faked.nothing_left_of("a")
    assert faked.engine.scalar("SELECT wait_reason::text FROM jobs") == "hostLost"


def test_a_busy_source_is_waited_for(faked: Faked) -> None:
    faked.storage.before = fails("make_base", SourceVolumeBusy("open elsewhere"), times=3)
    job = faked.job("a")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Waiting"]
    assert faked.engine.scalar("SELECT wait_reason::text FROM jobs") == "sourceBusy"
    for _ in range(4):
        faked.engine.pass_time(6)
        faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Succeeded"]


def test_a_missing_source_file_ends_the_job_with_its_error(faked: Faked) -> None:
    faked.storage.before = fails("signature", SourceVolumeMissing("/images/root.qcow2"), times=9)
    job = faked.job("a", "b")
    faked.engine.start(job)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed"] * 2
    row = faked.engine.rows("SELECT status, body FROM job_results")[0]
    assert row.status == 503
    assert orjson.loads(bytes(row.body))["error"]["code"] == "CLONE.1001"
    faked.nothing_left_of("a", "b")
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert faked.engine.scalar("SELECT count(*) FROM base_sets") == 0


def test_an_unused_base_goes_after_its_grace(faked: Faked) -> None:
    faked.hypervisor.before = fails("define", OperationFailed())
    faked.engine.start(faked.job("a"))
    assert len(faked.storage.bases) == 1
    faked.engine.pass_time(3500)
    faked.engine.sweep()
    assert len(faked.storage.bases) == 1
    faked.engine.pass_time(200)
    faked.engine.sweep()
    assert faked.storage.bases == {}
    assert faked.engine.scalar("SELECT count(*) FROM bases") == 0
    faked.capacity_adds_up()


def test_a_base_that_linked_clones_stand_on_stays(faked: Faked) -> None:
    faked.engine.start(faked.job("a"))
    faked.engine.pass_time(10_000)
    faked.engine.sweep()
    assert len(faked.storage.bases) == 1
    assert faked.engine.scalar("SELECT state::text FROM base_sets") == "Ready"


def test_past_its_deadline_a_job_ends_what_never_began(faked: Faked) -> None:
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = NULL")
    job = faked.job("a", "b", deadline_s=60)
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Waiting"] * 2
    faked.engine.pass_time(61)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed"] * 2
    row = faked.engine.rows("SELECT status, body FROM job_results")[0]
    assert row.status == 503
    assert orjson.loads(bytes(row.body))["error"]["code"] == "SYS.1001"


def test_finished_jobs_go_after_their_retention(faked: Faked) -> None:
    faked.engine.start(faked.job("a"))
    faked.engine.pass_time(30 * 86400 + 1)
    faked.engine.sweep()
    for table in ("jobs", "items", "steps", "job_results", "job_counters"):
        assert faked.engine.scalar(f"SELECT count(*) FROM {table}") == 0, table
    assert faked.engine.scalar("SELECT count(*) FROM vm_instances WHERE origin = 'cloned'") == 1


def test_a_call_that_outlived_its_worker_leaves_no_domain(faked: Faked) -> None:
    faked.hypervisor.before = fails("start", Killed())
    job = faked.job("a")
    with pytest.raises(Killed):
        faked.engine.start(job)
    faked.hypervisor.before = fails("start", VmStartFailed())
    _let_leases_lapse(faked)
    assert faked.engine.item_states(job) == ["Failed"]
    # The killed worker's call is carried out only now.
    vm_uuid = faked.engine.scalar("SELECT vm_uuid FROM items")
    faked.hypervisor.domains[vm_uuid] = True
    faked.engine.sweep()
    assert faked.hypervisor.domains == {vm_uuid: True}, "it is looked for after a minute"
    faked.hypervisor.before = fails("undefine", OperationFailed("libvirt is away"))
    for _ in range(2):
        faked.engine.pass_time(61)
        faked.engine.sweep()
    assert faked.hypervisor.domains == {}
    assert faked.engine.scalar("SELECT recheck_at FROM items") is None
