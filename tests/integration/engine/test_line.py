"""A host's line of granted items: messages wake processes, which take the items by themselves."""

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.queue import TaskName
from app.store import leases, removals
from app.store.models import JobKind
from app.store.session import Database
from tests.factories import ADMIN, make_account, make_job
from tests.integration.engine.conftest import Faked
from workers import lease, line


@pytest.fixture
def faked(make_faked: Any, monkeypatch: pytest.MonkeyPatch) -> Faked:
    """Nobody is woken, and nobody's turn ends."""
    monkeypatch.setattr(line, "TURN_S", 60)
    made: Faked = make_faked()
    made.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    return made


def names(number: int) -> list[str]:
    return [f"vm-{n}" for n in range(number)]


def wake(faked: Faked, job: str, ordinal: int = 0) -> None:
    item = faked.engine.scalar(
        "SELECT uuid FROM items WHERE job_uuid = :job AND ordinal = :ordinal",
        job=job,
        ordinal=ordinal,
    )
    (host,) = faked.inventory.hosts
    line.work(host, item, faked.engine.worker)


def test_one_message_is_enough_for_all_that_was_granted(faked: Faked) -> None:
    job = faked.job(*names(20))
    faked.engine.start(job)
    assert set(faked.engine.item_states(job)) == {"Granted"}
    wake(faked, job)
    assert set(faked.engine.item_states(job)) == {"Succeeded"}


def test_a_message_for_an_item_that_is_done_wakes_for_the_others(faked: Faked) -> None:
    first, second = faked.job("a"), faked.job("b")
    faked.engine.start(first)
    wake(faked, first)
    faked.engine.start(second)
    wake(faked, first)
    assert faked.engine.item_states(second) == ["Succeeded"]


def test_a_grant_wakes_no_more_processes_than_there_are(make_faked: Any) -> None:
    faked: Faked = make_faked()
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET processes = 3")
    sent: list[object] = []
    faked.engine.publisher.lost = lambda message: (
        message[0] is TaskName.CLONE_VM and not sent.append(message)  # type: ignore[func-returns-value]
    )
    faked.engine.start(faked.job(*names(20)))
    assert len(sent) == 3


def test_after_its_turn_a_process_looks_at_its_queue_and_comes_back(
    faked: Faked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "TURN_S", 0)
    job = faked.job(*names(5))
    faked.engine.start(job)
    faked.engine.publisher.lost = lambda _: False
    wake(faked, job)
    assert faked.engine.item_states(job).count("Succeeded") == 1
    faked.engine.drain()
    assert set(faked.engine.item_states(job)) == {"Succeeded"}


def test_a_stopping_worker_takes_no_other_item(
    faked: Faked, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = faked.job("a", "b")
    faked.engine.start(job)
    monkeypatch.setattr(lease, "_draining", [1])
    wake(faked, job)
    assert faked.engine.item_states(job) == ["Granted", "Granted"], "handed back, and left"


def test_one_name_of_a_small_account_goes_ahead_of_anothers_many(faked: Faked) -> None:
    many = faked.job(*names(30))
    faked.engine.start(many)
    with faked.engine.database.engine.begin() as connection:
        other = make_account(connection, admin=True)
        one = make_job(connection, faked.inventory.source, ["one"], account=other)
    faked.engine.start(one)
    (host,) = faked.inventory.hosts
    taken = [take_next(faked, host).job_uuid for _ in range(3)]
    assert taken == [many, one, many]


def take_next(faked: Faked, host: str) -> leases.Claim:
    claim = leases.claim_next(faked.engine.database, host, owner="w", lease_s=60)
    assert claim is not None
    return claim


def test_an_accounts_names_are_taken_in_request_order(faked: Faked) -> None:
    job = faked.job(*names(12))
    faked.engine.start(job)
    (host,) = faked.inventory.hosts
    taken = [take_next(faked, host).plan.vm_name for _ in range(12)]  # type: ignore[union-attr]
    assert taken == names(12)


def test_a_paused_jobs_items_and_those_whose_time_has_not_come_are_passed_over(
    faked: Faked,
) -> None:
    paused, later, now = faked.job("paused"), faked.job("later"), faked.job("now")
    for job in (paused, later, now):
        faked.engine.start(job)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET paused_at = now() WHERE uuid = '{paused}'")
        connection.exec_driver_sql(
            f"UPDATE items SET not_before = now() + interval '1 h' WHERE job_uuid = '{later}'"
        )
    (host,) = faked.inventory.hosts
    assert take_next(faked, host).job_uuid == now
    assert leases.claim_next(faked.engine.database, host, owner="w", lease_s=60) is None


def test_a_base_goes_ahead_of_the_names_of_other_jobs(faked: Faked) -> None:
    many = faked.job(*names(5))
    faked.engine.start(many)
    one = want_base_for(faked)
    wake(faked, many)
    assert base_of(faked, one) == "Ready"
    assert set(faked.engine.item_states(many)) == {"Granted"}, "the turn went back"
    wake(faked, many)
    assert set(faked.engine.item_states(many)) == {"Succeeded"}


def test_a_base_is_made_by_whoever_shares_the_locks_of_its_host(make_faked: Any) -> None:
    faked: Faked = make_faked(hosts=2)
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET machine_id = 'm', lock_folder = name")
    one = want_base_for(faked)
    source_host = faked.engine.scalar("SELECT host_uuid FROM base_sets WHERE state = 'Wanted'")
    (other,) = set(faked.inventory.hosts) - {source_host}
    line.work(other, "0" * 32, faked.engine.worker)
    assert base_of(faked, one) == "Wanted", "its worker has another VMCLONE_HOME"
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET lock_folder = '/locks'")
    line.work(other, "0" * 32, faked.engine.worker)
    assert base_of(faked, one) == "Ready"


def want_base_for(faked: Faked) -> str:
    """A job that is judged, while the message that asks for its base is on its way."""
    job = faked.job("one")
    lost = faked.engine.publisher.lost
    faked.engine.publisher.lost = lambda message: (
        message[0] in (TaskName.CLONE_VM, TaskName.PREPARE_BASE)
    )
    faked.engine.start(job)
    faked.engine.publisher.lost = lost
    return job


def base_of(faked: Faked, job: str) -> str:
    return str(
        faked.engine.scalar(
            "SELECT b.state FROM jobs JOIN base_sets b ON b.uuid = base_set_uuid "
            "WHERE jobs.uuid = :job",
            job=job,
        )
    )


def test_a_message_that_comes_late_takes_nothing_of_another_host(faked: Faked) -> None:
    job = faked.job("a")
    faked.engine.start(job)
    item = faked.engine.scalar("SELECT uuid FROM items")
    line.work("0" * 32, item, faked.engine.worker)
    assert faked.engine.item_states(job) == ["Granted"]


def test_a_cancelled_item_of_a_paused_job_is_not_passed_over(faked: Faked) -> None:
    job = faked.job("a")
    faked.engine.start(job)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET paused_at = now()")
        connection.exec_driver_sql("UPDATE items SET cancel_requested_at = now(), fence = 1")
    wake(faked, job)
    assert faked.engine.item_states(job) == ["Canceled"]


def test_of_two_accounts_the_one_of_twice_the_weight_gets_twice_the_turns(faked: Faked) -> None:
    with faked.engine.database.engine.begin() as connection:
        light, heavy = (make_account(connection, admin=True, weight=w) for w in (1, 2))
        jobs = [
            make_job(connection, faked.inventory.source, names(30), account=account)
            for account in (light, heavy)
        ]
    for job in jobs:
        faked.engine.start(job)
    (host,) = faked.inventory.hosts
    taken = [take_next(faked, host).job_uuid for _ in range(30)]
    assert taken.count(jobs[1]) == 20


def test_a_removal_stands_in_the_line_as_clones_do(faked: Faked) -> None:
    faked.engine.publisher.lost = lambda _: False
    made = faked.job(*names(3))
    faked.engine.start(made)
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    with faked.engine.database.engine.begin() as connection:
        other = make_account(connection, admin=True)
        clones = make_job(connection, faked.inventory.source, names(9), account=other)
        vms = removals.made_by(connection, made, JobKind.DESTROY)
        removal = removals.ask(connection, vms, account_uuid=ADMIN, kind=JobKind.DESTROY)
    faked.engine.start(clones)
    faked.engine.start(removal)
    (host,) = faked.inventory.hosts
    taken = [take_next(faked, host).job_uuid for _ in range(4)]
    assert taken == [clones, removal, clones, removal]


def test_of_processes_that_look_at_the_same_moment_each_gets_others(
    faked: Faked, database_url: str
) -> None:
    job = faked.job(*names(60))
    faked.engine.start(job)
    (host,) = faked.inventory.hosts

    def drain(name: str) -> list[str]:
        database = Database(database_url)
        try:
            taken = []
            while claim := leases.claim_next(database, host, owner=name, lease_s=60):
                taken.append(claim.item_uuid)
            return taken
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        taken = [uuid for mine in pool.map(drain, "abcd") for uuid in mine]
    assert len(taken) == len(set(taken)) == 60


def test_a_disk_that_is_full_of_locks_costs_no_try(
    faked: Faked, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = faked.job("a")
    faked.engine.start(job)

    def link(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a lock")

    monkeypatch.setattr("os.link", link)
    wake(faked, job)
    handed_back(faked)
    monkeypatch.undo()
    goes_on(faked, job)


def test_a_file_where_the_locks_should_be_costs_no_try(faked: Faked) -> None:
    job = faked.job("a")
    faked.engine.start(job)
    folder = faked.engine.worker.settings.lock_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("somebody's")
    wake(faked, job)
    handed_back(faked)
    folder.unlink()
    goes_on(faked, job)


def handed_back(faked: Faked) -> None:
    (item,) = faked.engine.rows("SELECT state::text, attempts, lapses, owner FROM items")
    assert tuple(item) == ("Granted", 0, 0, None)


def goes_on(faked: Faked, job: str) -> None:
    faked.engine.pass_time(6)
    wake(faked, job)
    assert faked.engine.item_states(job) == ["Succeeded"]


@pytest.mark.parametrize(
    ("turn_s", "long_s", "expected"),
    [
        (60, 0, 1),  # once, by whoever finds no more in line
        (60, 60, 0),  # quick items: the messages of every interval are enough
        (0, 0, 1),  # items longer than a turn: after each, though there is more in line
    ],
)
def test_a_process_that_runs_out_of_work_wakes_the_scheduler(
    faked: Faked, monkeypatch: pytest.MonkeyPatch, turn_s: float, long_s: float, expected: int
) -> None:
    monkeypatch.setattr(line, "TURN_S", turn_s)
    monkeypatch.setattr(line, "LONG_S", long_s)
    job = faked.job(*names(3))
    faked.engine.start(job)
    faked.engine.worker.woke_at_s = time.monotonic() + 60  # the interval's own was sent
    wake(faked, job)
    sent = [task for task, _, _ in faked.engine.publisher.messages]
    assert sent.count(TaskName.SCHEDULE) == expected


@pytest.mark.parametrize(("stops", "expected"), [(False, 1), (True, 0)], ids=["dry", "more"])
def test_quick_items_wake_the_scheduler_where_the_line_runs_dry_alone(
    faked: Faked, monkeypatch: pytest.MonkeyPatch, stops: bool, expected: int
) -> None:
    monkeypatch.setattr(line, "LONG_S", 60)
    job = faked.job("a", "b")
    faked.engine.start(job)
    faked.engine.worker.woke_at_s = 0.0
    if stops:  # in the middle of its turn
        monkeypatch.setattr(lease, "_draining", [1])
    wake(faked, job)
    sent = [task for task, _, _ in faked.engine.publisher.messages]
    assert sent.count(TaskName.SCHEDULE) == expected
