"""The engine without Celery: messages go into a list, and `drain` runs them one after another."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from app.domain.plan import HostRef, StorageRef
from app.queue import CONTROL_QUEUE, TaskName, host_of, host_queue
from app.settings import Settings
from app.store.session import Database
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.storage import FakeStorage
from workers import line
from workers.base_maker import prepare_base, remove_base
from workers.context import WorkerContext
from workers.finish import finish_job
from workers.hypervisors.base import Hypervisor
from workers.lease import Heart
from workers.put_back import put_back
from workers.recheck import recheck
from workers.scheduler import Scheduler
from workers.start import start_job
from workers.storage.base import Storage
from workers.sweeper import sweep

Message = tuple[TaskName, tuple[str, ...], str]


@dataclass
class ListPublisher:
    """Messages in the order they were published. `lost` says which never arrive."""

    messages: deque[Message] = field(default_factory=deque)
    lost: Callable[[Message], bool] = lambda _: False

    def publish(
        self,
        task: TaskName,
        *uuids: str,
        queue: str = CONTROL_QUEUE,
        expires_s: float | None = None,
    ) -> None:
        tuples: list[tuple[str, ...]] = [(uuid,) for uuid in uuids]
        for args in tuples or [()]:
            if not self.lost((task, args, queue)):
                self.messages.append((task, args, queue))

    def wake_host(self, host_uuid: str, item_uuids: Sequence[str], *, most: int) -> None:
        queue = host_queue(host_uuid)
        room = most - sum(message[2] == queue for message in self.messages)
        if room > 0 and item_uuids:
            self.publish(TaskName.CLONE_VM, *item_uuids[:room], queue=queue)


class NoBroker:
    """Lets everybody wake the scheduler."""

    def set(self, name: str, value: str, *, nx: bool, px: int) -> bool:
        return True


@dataclass
class FakedContext(WorkerContext):
    """A worker on fakes: every storage and every host is the one given."""

    fake_storage: Storage | None = None
    fake_hypervisor: Hypervisor | None = None

    def storage(self, ref: StorageRef) -> Storage:
        return self.fake_storage or super().storage(ref)

    def hypervisor(self, host: HostRef) -> Hypervisor:
        return self.fake_hypervisor or super().hypervisor(host)


class Engine:
    """One worker of everything, stepped by hand."""

    def __init__(
        self,
        database_url: str,
        settings: Settings,
        *,
        storage: Storage | None = None,
        hypervisor: Hypervisor | None = None,
    ) -> None:
        self.database = Database(database_url)
        self.publisher = ListPublisher()
        self.worker = FakedContext(
            settings=settings,
            database=self.database,
            beats=self.database,
            publisher=self.publisher,  # type: ignore[arg-type]
            broker=NoBroker(),  # type: ignore[arg-type]
            heart=Heart(interval_s=3600),
            rng=random.Random(1),
            fake_storage=storage,
            fake_hypervisor=hypervisor,
        )

    def run(self, message: Message) -> None:
        task, args, queue = message
        bodies: dict[TaskName, Callable[..., Any]] = {
            TaskName.START: lambda uuid: start_job(uuid, self.worker),
            TaskName.SCHEDULE: lambda: Scheduler(
                self.database,
                self.publisher,  # type: ignore[arg-type]
                self.worker.settings,
                self.worker.rng,
            ).run(),
            TaskName.SWEEP: lambda: sweep(self.worker),
            TaskName.FINISH: lambda uuid: finish_job(uuid, self.worker),
            TaskName.PREPARE_BASE: lambda uuid: prepare_base(uuid, self.worker),
            TaskName.REMOVE_BASE: lambda uuid: remove_base(uuid, self.worker),
            TaskName.PUT_BACK: lambda uuid: put_back(uuid, self.worker),
            TaskName.CLONE_VM: lambda uuid: line.work(host_of(queue), uuid, self.worker),
            TaskName.RECHECK: lambda uuid: recheck(uuid, self.worker),
        }
        bodies[task](*args)

    def drain(self, *, twice: bool = False) -> None:
        """Run every message, and what it publishes, until none is left; `twice` delivers each
        one a second time."""
        while self.publisher.messages:
            self.worker.woke_at_s = 0.0
            message = self.publisher.messages.popleft()
            for _ in range(1 + twice):
                self.run(message)

    def start(self, job_uuid: str, *, twice: bool = False) -> None:
        """Start the job and everything that follows from it."""
        self.publisher.publish(TaskName.START, job_uuid)
        self.drain(twice=twice)
        self.publisher.publish(TaskName.SCHEDULE)
        self.drain(twice=twice)

    def sweep(self) -> None:
        self.publisher.publish(TaskName.SWEEP)
        self.publisher.publish(TaskName.SCHEDULE)
        self.drain()

    def pass_time(self, seconds: float) -> None:
        """As if everything stored had happened that much earlier: no test waits for a clock."""
        moments = {
            "items": (
                "lease_until not_before published_at granted_at started_at finished_at recheck_at "
                "identity_due_at"
            ),
            "jobs": "created_at published_at deadline_at paused_at started_at finished_at",
            "base_sets": "lease_until not_before published_at created_at last_used_at",
            "source_snapshots": "not_before published_at created_at",
            "sweeper_passes": "steals_from",
            "vm_instances": "destroyed_at last_op_at",
        }
        with self.database.engine.begin() as connection:
            for table, columns in moments.items():
                assignments = ", ".join(
                    f"{column} = {column} - make_interval(secs => :s)" for column in columns.split()
                )
                connection.execute(text(f"UPDATE {table} SET {assignments}"), {"s": seconds})

    def scalar(self, query: str, **parameters: Any) -> Any:
        with self.database.single() as connection:
            return connection.scalar(text(query), parameters)

    def rows(self, query: str, **parameters: Any) -> list[Any]:
        with self.database.single() as connection:
            return list(connection.execute(text(query), parameters).all())

    def item_states(self, job_uuid: str) -> list[str]:
        """In request order."""
        return [
            row.state
            for row in self.rows(
                "SELECT state::text FROM items WHERE job_uuid = :job ORDER BY ordinal",
                job=job_uuid,
            )
        ]


@contextmanager
def faked_engine(
    database_url: str, settings: Settings
) -> Iterator[tuple[Engine, FakeStorage, FakeHypervisor]]:
    storage, hypervisor = FakeStorage(), FakeHypervisor()
    engine = Engine(database_url, settings, storage=storage, hypervisor=hypervisor)
    yield engine, storage, hypervisor
    engine.database.close()
