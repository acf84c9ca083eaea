"""Random lives of jobs against the real database: whatever is claimed, lapses, fails, is delivered
twice or never, cancelled, paused or removed, in whatever order, every promise holds after each
step, and in the end every name has ended and the world is as the rows say."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.exc import OperationalError

from app.domain.errors import OperationFailed, SourceVolumeBusy, StorageUnavailable
from app.domain.plan import CloneStrategy
from app.queue import TaskName
from app.settings import Settings
from app.store import audit, control, removals
from app.store.models import JobKind
from tests.engine import faked_engine
from tests.factories import ADMIN, make_inventory, make_job
from tests.integration.databases import Databases
from tests.integration.engine.test_trouble import Killed
from workers import lease

# `make deep` lives more of them, other ones each time.
EXAMPLES = int(os.environ.get("VMCLONE_LIVES", "8"))
STEPS = 40
END_ROUNDS, END_ROUND_S = 30, 400
DEADLINE_S = 5_000.0

FAULTS: dict[str, Callable[[], BaseException]] = {
    "killed": Killed,
    "passing": lambda: StorageUnavailable("away"),
    "final": lambda: OperationFailed("no"),
    "busy": lambda: SourceVolumeBusy("open"),
    "database": lambda: OperationalError("", {}, Exception("gone")),
    "defect": lambda: ValueError("a defect"),
}
CALLS = (
    *("signature", "make_base", "clone", "hand_over", "delete_volume", "delete_base"),
    *("attach_nics", "define", "start", "destroy", "undefine", "detach_nics"),
)
POLICIES = [None, {"onFailure": "allOrNothing"}, {"onFailure": "maxFailures", "maxFailures": 1}]
ENDED = "('Succeeded', 'Failed', 'Canceled')"

# Each finds nothing, at any moment.
WRONG = {
    "an ended name of nothing left something": "SELECT i.uuid FROM items i "
    "WHERE i.kind = 'clone' AND i.state IN ('Failed', 'Canceled') AND (EXISTS "
    "(SELECT 1 FROM vm_instances WHERE uuid = i.vm_uuid) OR EXISTS "
    "(SELECT 1 FROM volumes WHERE uuid = ANY(i.volume_uuids)))",
    "a cloned VM is not there": "SELECT i.uuid FROM items i WHERE i.kind = 'clone' "
    "AND i.state = 'Succeeded' AND NOT EXISTS (SELECT 1 FROM vm_instances WHERE uuid = i.vm_uuid) "
    "AND NOT EXISTS (SELECT 1 FROM items r WHERE r.vm_uuid = i.vm_uuid AND r.kind = 'expunge')",
    "a finished job has open names": "SELECT j.uuid FROM jobs j JOIN items i "
    f"ON i.job_uuid = j.uuid WHERE j.state = 'Finished' AND i.state NOT IN {ENDED} "
    "AND i.state <> 'Stranded'",
    "a finished job has no result": "SELECT uuid FROM jobs WHERE state = 'Finished' "
    "AND uuid NOT IN (SELECT job_uuid FROM job_results)",
    "a counter is wrong": "SELECT c.job_uuid FROM job_counters c LEFT JOIN items i "
    "ON i.job_uuid = c.job_uuid JOIN jobs j ON j.uuid = c.job_uuid GROUP BY c.job_uuid HAVING "
    "c.total <> count(*) OR c.succeeded + c.failed + c.canceled > c.total "
    "OR c.succeeded < count(*) FILTER (WHERE i.state = 'Succeeded')",
    "an address of nobody": "SELECT u.uuid FROM used_ips u LEFT JOIN vm_nics n "
    "ON n.uuid = u.vm_nic_uuid LEFT JOIN vm_instances v ON v.uuid = n.vm_instance_uuid "
    "WHERE v.uuid IS NULL",
    "a part of allOrNothing": "SELECT job_uuid FROM items JOIN jobs j ON j.uuid = job_uuid "
    "WHERE j.policy->>'onFailure' = 'allOrNothing' AND j.state = 'Finished' "
    "AND items.kind = 'clone' GROUP BY job_uuid "
    "HAVING count(*) FILTER (WHERE items.state = 'Succeeded') NOT IN (0, count(*))",
}


class Lives(RuleBasedStateMachine):
    # An engine on fakes with a database of its own.
    opened: ClassVar[Callable[[], AbstractContextManager[Any]]]

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.engine, self.storage, self.hypervisor = self.cleanup.enter_context(type(self).opened())
        self.engine.worker.rng.seed(1)
        with self.engine.database.engine.begin() as connection:
            self.source = make_inventory(connection, hosts=2, data_volumes=1).source
        self.jobs: list[str] = []
        self.ends: dict[str, str] = {}
        self.results: dict[str, bytes] = {}
        self.armed: list[tuple[str, str]] = []
        self.storage.before = self.hypervisor.before = self._before

    def _before(self, call: str) -> None:
        fault = next((f for c, f in self.armed if c == call), None)
        if fault is not None:
            self.armed.remove((call, fault))
            raise FAULTS[fault]()

    def _run(self, index: int, *, times: int = 1) -> None:
        messages = self.engine.publisher.messages
        if not messages:
            return
        messages.rotate(-(index % len(messages)))
        message = messages.popleft()
        self.engine.worker.woke_at_s = 0.0
        for _ in range(times):
            # What ends a process, or the message that it had in hand.
            with suppress(Killed, OperationalError):
                self.engine.run(message)

    def _work(self, number: int) -> None:
        for _ in range(number):
            self._run(0)

    def _a_job(self, index: int) -> str:
        return self.jobs[index % len(self.jobs)]

    @rule(
        number=st.integers(1, 4),
        mode=st.sampled_from(["linked", "full"]),
        strategy=st.sampled_from(list(CloneStrategy)),
        policy=st.sampled_from(POLICIES),
        full=st.booleans(),
    )
    def asks(self, number: int, mode: str, strategy: str, policy: Any, full: bool) -> None:
        with self.engine.database.engine.begin() as connection:
            job = make_job(
                connection,
                self.source,
                [f"vm-{n}" for n in range(number)],
                policy=policy,
                deadline_s=DEADLINE_S,
                strategy=str(strategy),
                full=full,
                systemTags=[f"cloneMode::{mode}"],
            )
        self.jobs.append(job)
        self.engine.publisher.publish(TaskName.START, job)

    @rule(number=st.integers(1, 12))
    def works(self, number: int) -> None:
        self.engine.publisher.publish(TaskName.SCHEDULE)
        self._work(number)

    @rule(index=st.integers(0, 9), times=st.integers(1, 2))
    def delivers_out_of_order(self, index: int, times: int) -> None:
        self._run(index, times=times)

    @rule()
    def forgets_all_messages(self) -> None:
        self.engine.publisher.messages.clear()

    @rule(call=st.sampled_from(CALLS), fault=st.sampled_from(sorted(FAULTS)))
    def something_will_break(self, call: str, fault: str) -> None:
        self.armed.append((call, fault))

    @rule(seconds=st.sampled_from([3, 20, 100, 4_000]))
    def time_passes(self, seconds: float) -> None:
        self.engine.pass_time(seconds)
        self._sweep()

    @rule()
    def is_stopped_and_started(self) -> None:
        lease.start_draining()
        try:
            self._work(3)
        finally:
            lease._draining[0] = 0

    @rule()
    def the_source_changes(self) -> None:
        self.storage.version += 1

    @precondition(lambda self: self.jobs)
    @rule(
        index=st.integers(0, 9),
        verb=st.sampled_from([control.cancel_job, control.pause_job, control.resume_job]),
    )
    def is_controlled(self, index: int, verb: Callable[..., Any]) -> None:
        self.engine.database.run(lambda c: verb(c, self._a_job(index)))

    @precondition(lambda self: self.jobs)
    @rule(index=st.integers(0, 9), item=st.integers(0, 9))
    def a_name_is_cancelled(self, index: int, item: int) -> None:
        rows = self.engine.rows(
            "SELECT uuid FROM items WHERE job_uuid = :job AND kind = 'clone' "
            f"AND state NOT IN {ENDED} ORDER BY ordinal",
            job=self._a_job(index),
        )
        if rows:
            uuid = rows[item % len(rows)].uuid
            self.engine.database.run(lambda c: control.cancel_item(c, uuid))

    @precondition(lambda self: self.jobs)
    @rule(index=st.integers(0, 9), kind=st.sampled_from([JobKind.DESTROY, JobKind.EXPUNGE]))
    def is_removed(self, index: int, kind: JobKind) -> None:
        def ask(connection: Any) -> str | None:
            vms = removals.made_by(connection, self._a_job(index), kind)
            return removals.ask(connection, vms, account_uuid=ADMIN, kind=kind) if vms else None

        if job := self.engine.database.run(ask):
            self.engine.publisher.publish(TaskName.START, job)

    def _sweep(self) -> None:
        self.engine.publisher.publish(TaskName.SWEEP)
        self.engine.publisher.publish(TaskName.SCHEDULE)
        self._work(len(self.engine.publisher.messages))

    @invariant()
    def nothing_is_wrong(self) -> None:
        for what, query in WRONG.items():
            assert self.engine.rows(query) == [], what
        with self.engine.database.single() as connection:
            assert audit.wrong_sums(connection) == []
            assert audit.loose_rows(connection) == []

    @invariant()
    def what_has_ended_stays(self) -> None:
        rows = self.engine.rows(f"SELECT uuid, state::text FROM items WHERE state IN {ENDED}")
        now = {row.uuid: row.state for row in rows}
        assert now | self.ends == now
        self.ends = now
        rows = self.engine.rows("SELECT job_uuid, body FROM job_results")
        results = {row.job_uuid: bytes(row.body) for row in rows}
        assert results | self.results == results
        self.results = results

    @invariant()
    def what_clones_stand_on_is_there(self) -> None:
        rows = self.engine.rows(
            "SELECT uuid, base_uuid FROM volumes WHERE origin = 'cloned' AND status = 'Ready'"
        )
        for row in rows:
            assert row.uuid in self.storage.volumes
            assert row.base_uuid is None or row.base_uuid in self.storage.bases

    @invariant()
    def who_runs_has_a_domain(self) -> None:
        for row in self.engine.rows(
            "SELECT uuid, state::text FROM vm_instances WHERE origin = 'cloned' "
            "AND state IN ('Running', 'Stopped') AND last_host_uuid IS NOT NULL"
        ):
            assert row.uuid in self.hypervisor.domains

    def teardown(self) -> None:
        with self.cleanup:
            self.armed.clear()
            for job in self.jobs:
                self.engine.database.run(lambda c, job=job: control.resume_job(c, job))
            self._come_to_rest()
            self.nothing_is_wrong()
            self.what_has_ended_stays()
            self._the_world_is_as_the_rows_say()

    def _come_to_rest(self) -> None:
        for _ in range(END_ROUNDS):
            self.engine.pass_time(END_ROUND_S)
            for _ in range(2):
                self.engine.sweep()
            if not self.engine.scalar(
                "SELECT EXISTS (SELECT 1 FROM jobs WHERE state <> 'Finished') OR EXISTS "
                f"(SELECT 1 FROM items WHERE state NOT IN {ENDED}) OR EXISTS "
                "(SELECT 1 FROM base_sets WHERE state <> 'Ready')"
            ):
                return
        raise AssertionError("not at rest")

    def _the_world_is_as_the_rows_say(self) -> None:
        def rows(query: str) -> set[str]:
            return {row.uuid for row in self.engine.rows(query)}

        assert set(self.storage.volumes) == rows(
            "SELECT uuid FROM volumes WHERE origin = 'cloned' AND install_path IS NOT NULL"
        )
        assert set(self.storage.bases) == rows("SELECT uuid FROM bases WHERE handed_to IS NULL")
        # What was destroyed keeps its domain: it may be recovered.
        standing = "origin = 'cloned' AND state IN ('Running', 'Stopped', 'Destroyed')"
        assert set(self.hypervisor.domains) == rows(
            f"SELECT uuid FROM vm_instances WHERE {standing} AND last_host_uuid IS NOT NULL"
        )
        assert self.hypervisor.nics <= rows(
            "SELECT uuid FROM vm_nics WHERE vm_instance_uuid IN "
            f"(SELECT uuid FROM vm_instances WHERE {standing})"
        )


def test_random_lives(databases: Databases, tmp_path: Path) -> None:
    @contextmanager
    def engine() -> Iterator[Any]:
        home = Settings(home=tmp_path / uuid4().hex)
        with (
            databases.migrated() as url,
            faked_engine(url, home) as faked,
        ):
            yield faked

    class LivesHere(Lives):
        opened = engine

    run_state_machine_as_test(
        LivesHere,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="VMCLONE_LIVES" not in os.environ,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
