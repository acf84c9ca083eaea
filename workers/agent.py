"""`vmclone worker`: keeps this machine's Celery workers running and says what they serve.

Twice a second it beats for the hosts it serves, so that the scheduler grants to them, and sends
the control queue its ticks; every few seconds it looks at their storages and at new clones'
guests, and at times for locks that a killed process left. None of that is done by the Celery
workers themselves: they may be busy with copies for hours.
"""

import hashlib
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import redis

from app.domain.plan import HypervisorType
from app.endpoints import broker_url, database_url
from app.queue import CONTROL_QUEUE, CONTROL_SEEN_KEY, Publisher, TaskName, host_queue, make_celery
from app.settings import Settings
from app.store import hosts
from app.store.hosts import DeclaredHost, HostWorker
from app.store.session import Database
from app.supervisor import Child, Supervisor
from workers import metrics, stale_locks
from workers.consumer import consume
from workers.identity_watch import IdentityWatch
from workers.this_machine import is_local, machine_id
from workers.watches import HypervisorWatch, StorageWatch
from workers.webhooks.main import deliver_webhooks

log = logging.getLogger(__name__)

TICK_S = 0.5
QUEUE_INTERVAL_S = 5.0
LOCKS_INTERVAL_S = 10.0
FRESH_S = 15.0  # for so long our Celery worker may still be starting
STOP_GRACE_S = 45.0
CONTROL_PROCESSES = 2
CONTROL_SEEN_S = 5
CONTROL_NAME = "control"


class Agent:
    """Serves the named hosts, or without names every Simulator host and this machine's own; and
    the control queue where `control` says so."""

    def __init__(
        self,
        settings: Settings,
        *,
        host_names: Sequence[str] = (),
        control: bool,
        serve_hosts: bool,
        processes: int | None,
    ) -> None:
        self._settings = settings
        self._host_names = frozenset(host_names)
        self._control = control
        self._serve_hosts = serve_hosts
        self._processes = processes or settings.worker_processes
        self.children: Sequence[Child] = ()
        self._database = Database(database_url(settings), application_name="vmclone agent")
        self._celery = make_celery(broker_url(settings))
        self._publisher = Publisher(self._celery)
        self._redis = redis.Redis.from_url(broker_url(settings), socket_timeout=2)
        self._machine_id = machine_id()
        # Workers for different hosts may share a machine, and each is told its own queues.
        serves = ",".join(sorted(self._host_names)).encode()
        self._worker = HostWorker(
            self._machine_id, os.path.realpath(settings.lock_folder), self._processes
        )
        self._id = hashlib.sha256(self._machine_id.encode() + serves).hexdigest()[:12]
        self._name = f"hosts-{self._id}@{socket.gethostname()}"
        self._served: frozenset[str] = frozenset()
        self._told_queues_at_s = 0.0
        self._tidied_at_s = 0.0
        self._changed_at_s = time.monotonic()
        # A queue of its own keeps a worker without any host yet waiting on something.
        self._consumer = self._child(self._name, [f"agent.{self._id}"], self._processes)
        self._storages = StorageWatch(settings, self._database)
        self._hypervisors = HypervisorWatch(settings, self._database)
        self._identities = IdentityWatch(settings, self._database)

    @property
    def served(self) -> frozenset[str]:
        """Hosts, by uuid."""
        return self._served

    @property
    def away(self) -> frozenset[str]:
        return self._hypervisors.away & self._served

    @property
    def processes(self) -> int:
        return self._processes

    def run(self) -> int:
        children: list[Child] = []
        if self._control:
            name = f"{CONTROL_NAME}@{socket.gethostname()}"
            children.append(self._child(name, [CONTROL_QUEUE], CONTROL_PROCESSES))
            children.append(
                Child(
                    "webhooks",
                    [*_worker_command(), "--webhooks"],
                    main=lambda: deliver_webhooks(self._settings),
                )
            )
        if self._serve_hosts:
            children.append(self._consumer)
        self.children = children
        supervisor = Supervisor([], grace_s=STOP_GRACE_S, together=True)
        for child in children:  # before there is a thread or a connection here: they are forked
            supervisor.add(child)
        metrics.serve(self._settings, self)
        with closing(self._database):
            return supervisor.run(tick=self.tick, tick_s=TICK_S)

    def tick(self) -> None:
        if self._serve_hosts:
            self._beat_hosts()
            self._remove_stale_locks()
        if self._control:
            if self._control_lives():
                self._redis.set(CONTROL_SEEN_KEY, self._machine_id, ex=CONTROL_SEEN_S)
            self._publisher.publish(TaskName.SCHEDULE, expires_s=2 * TICK_S)
            self._publisher.publish(TaskName.SWEEP, expires_s=2 * TICK_S)

    def _control_lives(self) -> bool:
        return any(c.alive for c in self.children if c.name.startswith(CONTROL_NAME))

    def _child(self, name: str, queues: Sequence[str], processes: int) -> Child:
        argv = [*_worker_command(), "--consume", ",".join(queues)]
        return Child(
            name,
            [*argv, "--name", name, "--processes", str(processes)],
            main=lambda: consume(self._settings, name=name, queues=queues, processes=processes),
        )

    def _beat_hosts(self) -> None:
        with self._database.single() as connection:
            mine = [h for h in hosts.declared(connection) if self._is_mine(h)]
            away = self._hypervisors.away
            wanted = [h.uuid for h in mine if h.uuid not in away]
            served = frozenset(hosts.beat(connection, wanted, self._worker))
        for refused in set(wanted) - served - self._served:
            log.warning(
                "another machine serves this host, or a worker with another VMCLONE_HOME",
                extra={"host": refused},
            )
        # What is under way on a host whose hypervisor is away goes on trying.
        self._consume_from(served | (away & self._served))
        self._storages.look(sorted(served))
        self._hypervisors.look([h.ref for h in mine])
        self._identities.look([h.ref for h in mine if h.uuid in served])

    def _remove_stale_locks(self) -> None:
        now_s = time.monotonic()
        if now_s - self._tidied_at_s < LOCKS_INTERVAL_S:
            return
        self._tidied_at_s = now_s
        folder = self._settings.lock_folder
        stale_locks.remove(folder, stale_locks.stale(self._database, folder))

    def _is_mine(self, host: DeclaredHost) -> bool:
        if self._host_names:
            return host.name in self._host_names
        return host.hypervisor_type is HypervisorType.SIMULATOR or is_local(host.management_ip)

    def _consume_from(self, served: frozenset[str]) -> None:
        """Tell our Celery worker its queues: at once when they change, and again and again,
        because a broadcast is lost on a worker that is just starting."""
        now_s = time.monotonic()
        if served != self._served:
            self._changed_at_s = now_s
        elif now_s - self._told_queues_at_s < self._queue_interval_s(now_s):
            return
        for host_uuid in sorted(served):
            self._celery.control.add_consumer(
                host_queue(host_uuid), destination=[self._name], reply=False
            )
        for host_uuid in sorted(self._served - served):
            self._celery.control.cancel_consumer(
                host_queue(host_uuid), destination=[self._name], reply=False
            )
        self._served, self._told_queues_at_s = served, now_s

    def _queue_interval_s(self, now_s: float) -> float:
        since_s = max(self._changed_at_s, self._consumer.started_at_s)
        return TICK_S if now_s - since_s < FRESH_S else QUEUE_INTERVAL_S


def _worker_command() -> list[str]:
    return [sys.executable, str(Path(sys.executable).with_name("vmclone")), "worker"]
