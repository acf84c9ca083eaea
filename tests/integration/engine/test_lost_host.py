"""What becomes of names that were begun on a host that is lost."""

from uuid import uuid4

import pytest

from app.domain.errors import StorageUnavailable
from app.domain.steps import StepName
from app.queue import TaskName
from app.store import control, items, leases, long_jobs, removals
from app.store.items import StepRecord
from app.store.leases import LeaseLost
from app.store.models import JobKind
from tests.integration.engine.conftest import Faked
from tests.integration.engine.test_trouble import Killed, error_of, fails, host_of


def lose_host(faked: Faked) -> None:
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE hosts SET seen_at = clock_timestamp() - interval '61 seconds'"
        )


def see_host(faked: Faked) -> None:
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = clock_timestamp() + interval '1h'")


def begun(faked: Faked, **parameters: float) -> str:
    """A job of one name whose worker and host went away in the middle of it."""
    faked.hypervisor.before = fails("start", Killed())
    job = faked.job("a", **parameters)
    with pytest.raises(Killed):
        faked.engine.start(job)
    lose_host(faked)
    return job


def pass_on(faked: Faked, seconds: float) -> None:
    """Time passes with a sweeper at work all the while, and no worker of the host."""
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    faked.engine.sweep()
    faked.engine.pass_time(seconds)
    faked.engine.sweep()
    faked.engine.publisher.lost = lambda _: False


def counters(faked: Faked, job: str) -> tuple[int, ...]:
    (row,) = faked.engine.rows(
        "SELECT succeeded, failed, canceled FROM job_counters WHERE job_uuid = :job", job=job
    )
    return tuple(row)


def test_it_waits_for_its_host_until_the_deadline(faked: Faked) -> None:
    job = begun(faked, deadline_s=600)
    pass_on(faked, 500)
    assert faked.engine.item_states(job) == ["Running"]
    see_host(faked)
    faked.engine.pass_time(16)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Succeeded"]


def test_at_its_deadline_it_is_stranded_and_its_job_ends(faked: Faked) -> None:
    job = begun(faked, deadline_s=600)
    pass_on(faked, 601)
    assert faked.engine.item_states(job) == ["Stranded"]
    assert faked.engine.scalar("SELECT outcome::text FROM jobs") == "Failed"
    assert error_of(faked, "a")["cause"]["code"] == "HOST.1010"
    assert counters(faked, job) == (0, 1, 0)
    # What it has on the host stays its own as long as nobody can look.
    assert faked.engine.scalar("SELECT count(*) FROM reservations WHERE kind = 'Cpu'") == 1
    pass_on(faked, 60)
    assert faked.engine.item_states(job) == ["Stranded"]
    see_host(faked)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed"]
    assert counters(faked, job) == (0, 1, 0)
    faked.nothing_left_of("a")


def test_a_cancelled_one_does_not_wait_for_the_deadline(faked: Faked) -> None:
    job = begun(faked)
    faked.engine.database.run(lambda c: control.cancel_job(c, job))
    pass_on(faked, 16)
    assert faked.engine.item_states(job) == ["Stranded"]
    assert faked.engine.scalar("SELECT state::text FROM jobs") == "Finished"


def test_one_that_was_to_be_tried_again_is_stranded_too(faked: Faked) -> None:
    faked.storage.before = fails("clone", StorageUnavailable("gone for a moment"))
    job = faked.job("a", deadline_s=600)
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Granted"]
    lose_host(faked)
    pass_on(faked, 601)
    assert faked.engine.item_states(job) == ["Stranded"]
    see_host(faked)
    faked.engine.sweep()
    faked.nothing_left_of("a")


def test_whoever_holds_it_still_is_left_alone(faked: Faked) -> None:
    job = begun(faked, deadline_s=600)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE items SET lease_until = lease_until + interval '1h'")
    pass_on(faked, 601)
    assert faked.engine.item_states(job) == ["Running"]


def test_after_a_gap_no_host_is_taken_for_lost(faked: Faked) -> None:
    job = begun(faked, deadline_s=600)
    faked.engine.sweep()
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE sweeper_passes SET passed_at = clock_timestamp() - interval '10 minutes'"
        )
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    faked.engine.pass_time(601)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Running"]


def test_its_worker_that_comes_back_can_record_nothing(faked: Faked) -> None:
    job = begun(faked, deadline_s=600)
    faked.engine.pass_time(16)
    (item,) = faked.engine.rows("SELECT uuid FROM items WHERE job_uuid = :job", job=job)
    database = faked.engine.database
    mine = leases.claim(database, item.uuid, host_of(faked), owner="frozen", lease_s=0)
    assert mine is not None
    pass_on(faked, 601)
    assert leases.beat(database, mine, lease_s=15, bytes_done=0) is None
    record = StepRecord(step=StepName.DEFINE_VM, elapsed_s=0, bytes_done=0)
    with pytest.raises(LeaseLost):
        items.record_step(database, mine, record, next_step=StepName.START_VM)


def test_a_cancelled_removal_leaves_its_vm_unknown(faked: Faked) -> None:
    made = faked.job("a")
    faked.engine.start(made)
    faked.hypervisor.before = fails("destroy", Killed())
    with faked.engine.database.engine.begin() as connection:
        vms = removals.made_by(connection, made, JobKind.DESTROY)
        account = str(connection.exec_driver_sql("SELECT account_uuid FROM jobs").scalar())
        removal = removals.ask(connection, vms, account_uuid=account, kind=JobKind.DESTROY)
    with pytest.raises(Killed):
        faked.engine.start(removal)
    lose_host(faked)
    faked.engine.database.run(lambda c: control.cancel_job(c, removal))
    pass_on(faked, 16)
    assert faked.engine.item_states(removal) == ["Failed"]
    assert counters(faked, removal) == (0, 1, 0)
    assert faked.engine.scalar("SELECT state::text FROM vm_instances WHERE name = 'a'") == "Unknown"


@pytest.mark.parametrize(
    ("kind", "call", "state"),
    [
        (JobKind.STOP, "destroy", "Unknown"),
        (JobKind.UPDATE, "resize", "Stopped"),  # its domain did not run, and does not
    ],
)
def test_an_operation_that_was_begun_leaves_what_is_known_of_its_vm(
    faked: Faked, kind: JobKind, call: str, state: str
) -> None:
    strategy = "CreateStopped" if state == "Stopped" else "InstantStart"
    faked.engine.start(faked.job("a", strategy=strategy))
    vm = faked.engine.scalar("SELECT uuid FROM vm_instances WHERE name = 'a'")
    faked.hypervisor.before = fails(call, Killed())
    job = uuid4().hex
    asked = {"cpuNum": 2} if kind is JobKind.UPDATE else {"type": "cold"}
    with faked.engine.database.engine.begin() as connection:
        account = str(connection.exec_driver_sql("SELECT account_uuid FROM jobs").scalar())
        long_jobs.accept_job(connection, job, kind, vm, asked, account_uuid=account, timeout_s=600)
    with pytest.raises(Killed):
        faked.engine.start(job)
    lose_host(faked)
    pass_on(faked, 601)
    (item,) = faked.engine.rows("SELECT state, error FROM items WHERE job_uuid = :job", job=job)
    assert (item.state, item.error["cause"]["code"]) == ("Failed", "HOST.1010")
    assert faked.engine.scalar("SELECT state::text FROM vm_instances WHERE name = 'a'") == state
