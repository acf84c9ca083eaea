"""Cancel, pause and the policies: names that nobody holds end at once, by the database alone;
whoever holds one takes it back; nothing is left."""

from typing import Any

import pytest

from app.domain.errors import StorageUnavailable, VmStartFailed
from app.domain.states import WaitReason
from app.queue import TaskName
from app.store import control, grants
from tests.integration.engine.conftest import Faked
from tests.integration.engine.test_trouble import Killed, fails


def say(faked: Faked, verb: Any, uuid: str) -> Any:
    return faked.engine.database.run(lambda connection: verb(connection, uuid))


def outcome(faked: Faked, job: str) -> tuple[str, str]:
    row = faked.engine.rows(
        "SELECT state::text, outcome::text FROM jobs WHERE uuid = :job", job=job
    )[0]
    return row.state, row.outcome


def item_of(faked: Faked, name: str) -> Any:
    return faked.engine.rows("SELECT * FROM items WHERE name = :name", name=name)[0]


def lose_clones(faked: Faked) -> None:
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM


def counted(faked: Faked, job: str) -> None:
    """The counters are the items' states."""
    row = faked.engine.rows(
        "SELECT c.*, count(*) FILTER (WHERE i.state = 'Succeeded') AS s, "
        "count(*) FILTER (WHERE i.state IN ('Failed', 'Stranded')) AS f, "
        "count(*) FILTER (WHERE i.state = 'Canceled') AS x "
        "FROM job_counters c JOIN items i USING (job_uuid) WHERE job_uuid = :job "
        "GROUP BY c.job_uuid",
        job=job,
    )[0]
    assert (row.succeeded, row.failed, row.canceled) == (row.s, row.f, row.x)


def test_cancel_ends_waiting_and_granted_names_without_any_worker(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=2)
    lose_clones(faked)
    job = faked.job(*(f"vm-{n}" for n in range(450)))
    faked.engine.start(job)
    assert sorted(set(faked.engine.item_states(job))) == ["Granted", "Waiting"]
    say(faked, control.cancel_job, job)
    assert faked.engine.item_states(job).count("Waiting") == 449, "not in the caller's time"
    faked.engine.sweep()
    assert set(faked.engine.item_states(job)) == {"Canceled"}
    assert outcome(faked, job) == ("Finished", "Canceled")
    assert faked.hypervisor.calls == []
    counted(faked, job)
    faked.nothing_left_of(*(f"vm-{n}" for n in range(450)))


def test_cancel_takes_back_a_name_between_two_attempts_at_once(faked: Faked) -> None:
    faked.storage.before = fails("clone", StorageUnavailable("away"), times=99)
    job = faked.job("a")
    faked.engine.start(job)
    assert item_of(faked, "a").wait_reason == "retry"
    say(faked, control.cancel_job, job)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Canceled"]
    faked.nothing_left_of("a")


def test_a_cancel_that_comes_before_the_claim_is_seen_by_the_claim(faked: Faked) -> None:
    faked.storage.before = fails("clone", Killed())
    job = faked.job("a")
    with pytest.raises(Killed):
        faked.engine.start(job)
    say(faked, control.cancel_job, job)
    faked.engine.sweep()
    faked.engine.pass_time(20)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Canceled"]
    assert faked.storage.calls.count("clone") == 1, "nothing more was made"
    faked.nothing_left_of("a")


def test_cancelling_twice_or_too_late_changes_nothing(faked: Faked) -> None:
    job = faked.job("a")
    faked.engine.start(job)
    late = say(faked, control.cancel_job, job)
    assert (late.state, late.already) == ("Finished", False)
    assert faked.engine.item_states(job) == ["Succeeded"]
    other = faked.job("b")
    assert not say(faked, control.cancel_job, other).already
    assert say(faked, control.cancel_job, other).already


def test_a_job_cancelled_before_it_was_judged_makes_nothing(faked: Faked) -> None:
    job = faked.job("a", "b")
    say(faked, control.cancel_job, job)
    faked.engine.start(job)
    faked.engine.sweep()
    assert outcome(faked, job) == ("Finished", "Canceled")
    assert faked.storage.volumes == {}


def test_one_name_is_cancelled_and_its_siblings_stand(faked: Faked) -> None:
    lose_clones(faked)
    job = faked.job("a", "b")
    faked.engine.start(job)
    say(faked, control.cancel_item, item_of(faked, "a").uuid)
    faked.engine.publisher.lost = lambda _: False
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Canceled", "Succeeded"]
    assert outcome(faked, job) == ("Finished", "PartiallySucceeded")
    counted(faked, job)
    faked.nothing_left_of("a")


def test_the_last_open_name_cancelled_ends_its_job(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=0)
    job = faked.job("a")
    faked.engine.start(job)
    say(faked, control.cancel_item, item_of(faked, "a").uuid)
    say(faked, control.cancel_item, item_of(faked, "a").uuid)
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert outcome(faked, job) == ("Finished", "Canceled")
    counted(faked, job)


def test_a_paused_job_begins_nothing_and_its_deadline_waits(faked: Faked) -> None:
    lose_clones(faked)
    job = faked.job("a", "b", deadline_s=100)
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Granted", "Granted"]
    say(faked, control.pause_job, job)
    faked.engine.publisher.lost = lambda _: False
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Waiting", "Waiting"], "their grants are given back"
    assert faked.engine.scalar("SELECT count(*) FROM reservations WHERE kind = 'Cpu'") == 0
    assert faked.engine.scalar("SELECT wait_reason::text FROM jobs") == "paused"
    faked.engine.pass_time(200)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Waiting", "Waiting"], "no deadline in a pause"
    assert say(faked, control.pause_job, job).already
    say(faked, control.resume_job, job)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Succeeded", "Succeeded"]


def test_a_batch_that_began_before_the_pause_does_not_say_why_the_job_waits(faked: Faked) -> None:
    lose_clones(faked)
    job = faked.job("a")
    faked.engine.start(job)
    assert item_of(faked, "a").step == "copy_root_volume", "what a worker will begin with"
    say(faked, control.pause_job, job)
    faked.engine.database.run(
        lambda connection: grants.set_wait_reason(connection, [job], WaitReason.ACCOUNT_SHARE)
    )
    assert faked.engine.scalar("SELECT wait_reason::text FROM jobs") == "paused"


def test_a_paused_job_is_not_tried_again_until_it_is_resumed(faked: Faked) -> None:
    faked.storage.before = fails("clone", StorageUnavailable("away"))
    job = faked.job("a")
    faked.engine.start(job)
    say(faked, control.pause_job, job)
    faked.engine.pass_time(60)
    faked.engine.publisher.publish(TaskName.CLONE_VM, item_of(faked, "a").uuid)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Granted"]
    say(faked, control.resume_job, job)
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Succeeded"]


def test_a_paused_job_can_be_cancelled(faked: Faked) -> None:
    faked.storage.before = fails("clone", StorageUnavailable("away"))
    job = faked.job("a", "b")
    faked.engine.start(job)
    say(faked, control.pause_job, job)
    say(faked, control.cancel_job, job)
    faked.engine.sweep()
    assert sorted(faked.engine.item_states(job)) == ["Canceled", "Succeeded"]
    faked.nothing_left_of("a")


def test_past_max_failures_nothing_more_begins(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=1)
    faked.hypervisor.before = fails("start", VmStartFailed(), times=2)
    job = faked.job("a", "b", "c", "d", policy={"onFailure": "keep", "maxFailures": 1})
    faked.engine.start(job)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed"] * 4
    assert item_of(faked, "d").error["code"] == "CLONE.1011"
    assert "a: unable to create" in item_of(faked, "d").error["details"]
    assert len(faked.storage.volumes) == 0
    counted(faked, job)


def test_within_max_failures_the_rest_is_cloned(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=1)
    faked.hypervisor.before = fails("start", VmStartFailed())
    job = faked.job("a", "b", "c", policy={"onFailure": "keep", "maxFailures": 1})
    faked.engine.start(job)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed", "Succeeded", "Succeeded"]


ALL = {"onFailure": "allOrNothing", "maxFailures": None}


def test_all_or_nothing_succeeds_as_one(faked: Faked) -> None:
    job = faked.job("a", "b", policy=ALL)
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.FINISH
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Made", "Made"], "no success before the job's"
    faked.engine.publisher.lost = lambda _: False
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Succeeded", "Succeeded"]
    assert outcome(faked, job) == ("Finished", "Succeeded")
    row = faked.engine.rows("SELECT succeeded, bytes_done FROM job_counters")[0]
    assert (row.succeeded, row.bytes_done) == (2, 200)
    faked.capacity_adds_up()


def test_all_or_nothing_takes_everything_back_after_one_failure(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=1)
    starts = iter(range(99))

    def before(called: str) -> None:
        if called == "start" and next(starts) == 2:
            raise VmStartFailed("no more")

    faked.hypervisor.before = before
    job = faked.job("a", "b", "c", "d", policy=ALL)
    faked.engine.start(job)
    faked.engine.sweep()
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed"] * 4
    assert outcome(faked, job) == ("Finished", "Failed")
    assert item_of(faked, "a").error["code"] == "CLONE.1010"
    assert "The first one was c" in item_of(faked, "d").error["details"]
    error = faked.engine.scalar("SELECT error FROM jobs")
    assert error["cause"]["cause"]["code"] == "HOST.1005", "the failure itself, not a sibling's"
    counted(faked, job)
    faked.nothing_left_of("a", "b", "c", "d")


def test_all_or_nothing_cancelled_leaves_nothing(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=1)
    job = faked.job("a", "b", policy=ALL)
    done: list[str] = []

    def lost(message: Any) -> bool:
        if message[0] is TaskName.CLONE_VM:
            done.append(message[0])
        return len(done) > 1 and message[0] is TaskName.CLONE_VM

    faked.engine.publisher.lost = lost
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Made", "Granted"]
    faked.engine.publisher.lost = lambda _: False
    say(faked, control.cancel_job, job)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Canceled", "Canceled"]
    assert outcome(faked, job) == ("Finished", "Canceled")
    faked.nothing_left_of("a", "b")


def test_a_made_name_whose_rollback_dies_is_taken_back_by_the_next_one(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=1)
    starts = iter(range(99))

    def before(called: str) -> None:
        if called == "start" and next(starts) == 1:
            raise VmStartFailed
        if called == "undefine" and next(deaths) == 1:
            raise Killed

    deaths = iter(range(99))
    faked.hypervisor.before = before
    job = faked.job("a", "b", policy=ALL)
    faked.engine.start(job)
    with pytest.raises(Killed):
        faked.engine.sweep()
    faked.engine.publisher.messages.clear()
    faked.engine.pass_time(20)
    faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Failed", "Failed"]
    faked.nothing_left_of("a", "b")
