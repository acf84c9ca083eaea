"""What one worker process works with: its database, queue, settings and identity."""

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import redis

from app.domain.plan import ClonePlan, HostRef, StorageRef, VolumePlan
from app.endpoints import broker_url, database_url
from app.queue import CONTROL_QUEUE, Publisher, TaskName, make_celery
from app.settings import Settings
from app.store import made_bases
from app.store.session import Database
from workers.fence import HostLock
from workers.hypervisors import open_hypervisor
from workers.hypervisors.base import DomainTemplate, Hypervisor
from workers.lease import Heart, Lease
from workers.storage import open_storage
from workers.storage.base import Storage

log = logging.getLogger(__name__)

WAKE_INTERVAL_S = 0.2
WAKE_KEY = "vmclone:scheduler:woken"


@dataclass(slots=True)
class WorkerContext:
    settings: Settings
    database: Database
    beats: Database  # for heartbeats alone: not durable, never behind a step's transaction
    publisher: Publisher
    broker: redis.Redis
    heart: Heart
    rng: random.Random = field(default_factory=random.SystemRandom)
    woke_at_s: float = 0.0
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @classmethod
    def open(cls, settings: Settings) -> "WorkerContext":
        url, broker = database_url(settings), broker_url(settings)
        return cls(
            settings=settings,
            database=Database(url, application_name="vmclone worker"),
            beats=Database(
                url, application_name="vmclone heart", durable=False, statement_timeout_ms=5_000
            ),
            publisher=Publisher(make_celery(broker)),
            broker=redis.Redis.from_url(broker, socket_timeout=2),
            heart=Heart(interval_s=min(1.0, settings.lease_s / 4)),
        )

    def publish(self, task: TaskName, *uuids: str, queue: str = CONTROL_QUEUE) -> None:
        """Best effort: what is lost here the sweeper publishes again."""
        try:
            self.publisher.publish(task, *uuids, queue=queue)
        except Exception:
            log.warning("could not publish, the sweeper will", exc_info=True)

    def wake_host(
        self, host_uuid: str, item_uuids: Sequence[str], *, most: int | None = None
    ) -> None:
        """Best effort; as many messages as a worker is taken to have processes."""
        try:
            self.publisher.wake_host(
                host_uuid, item_uuids, most=most or self.settings.worker_processes
            )
        except Exception:
            log.warning("could not publish, the sweeper will", exc_info=True)

    def wake_scheduler(self, *, at_once: bool) -> None:
        """A process has nothing to do. One message an interval, whichever of the processes sends
        it: a batch costs the same for one item as for many, and the scheduler's timer covers the
        rest. `at_once`, where items are long or whole jobs wait."""
        if at_once:
            self.publish(TaskName.SCHEDULE)
            return
        now_s = time.monotonic()
        if now_s - self.woke_at_s < WAKE_INTERVAL_S:
            return
        self.woke_at_s = now_s
        try:
            first = self.broker.set(WAKE_KEY, "", nx=True, px=int(WAKE_INTERVAL_S * 1000))
        except redis.RedisError:
            return
        if first:
            self.publish(TaskName.SCHEDULE)

    def lock(self, uuid: str, fence: int = 0) -> HostLock:
        return HostLock(_made(self.settings.lock_folder), uuid, fence)

    def template(self, base_set_uuid: str | None) -> DomainTemplate | None:
        """What the set's clones are defined from; None where a domain needs nothing."""
        if base_set_uuid is None:
            return None
        return _template(base_set_uuid, self.database)

    def storage(self, ref: StorageRef) -> Storage:
        return _storage(ref, self.settings)

    def hypervisor(self, host: HostRef) -> Hypervisor:
        return _hypervisor(host, self.settings)


@lru_cache(maxsize=1)
def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@lru_cache(maxsize=16)
def _template(base_set_uuid: str, database: Database) -> DomainTemplate | None:
    """It never changes."""
    found = made_bases.domain_of(database, base_set_uuid)
    if found is None or found.xml is None:
        return None
    return DomainTemplate(
        xml=found.xml,
        live_xml=found.live_xml,
        nvram=found.nvram,
        tpm_state=found.tpm_state,
        seed_target=found.seed_target,
    )


@lru_cache(maxsize=256)
def _hypervisor(host: HostRef, settings: Settings) -> Hypervisor:
    return open_hypervisor(host, settings)


@lru_cache(maxsize=256)
def _storage(ref: StorageRef, settings: Settings) -> Storage:
    return open_storage(ref, settings)


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step works with. No database: the runner alone persists."""

    plan: ClonePlan
    worker: WorkerContext
    lease: Lease  # also the control of its copies
    # Asks for a base itself; True if it was given to this volume, now or before.
    take_base: Callable[[VolumePlan], bool]

    @property
    def hypervisor(self) -> Hypervisor:
        return self.worker.hypervisor(self.plan.host)

    @property
    def template(self) -> DomainTemplate | None:
        return self.worker.template(self.plan.base_set_uuid)

    def storage(self, ref: StorageRef) -> Storage:
        return self.worker.storage(ref)
