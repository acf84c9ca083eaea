"""Grants: who is next, on which host, with everything reserved, in batches under one lock.

One transaction reads the world, decides, and writes items, VMs, volumes, NICs, addresses and
reservations together; granted items are published to their hosts after it has committed.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from app.domain import waking
from app.domain.errors import CloneError, ErrorCode, ResourceNotFound
from app.domain.fairness import divide
from app.domain.plan import CloneStrategy
from app.domain.states import BaseSetState, ItemState, WaitReason
from app.domain.waking import WokenHost
from app.queue import Publisher, TaskName, host_queue
from app.settings import Settings
from app.store import (
    base_sets,
    grants,
    items,
    jobs,
    leases,
    networks,
    operations,
    sources,
    waiting_operations,
    world,
)
from app.store.codec import spec_to_json
from app.store.grants import SchedulableJob
from app.store.models import JobKind, VmState
from app.store.planning import Grant, JobPlanner, WaitingItem, not_created
from app.store.session import Database
from app.store.volume_planning import ThinShare
from workers import grant_rows

log = logging.getLogger(__name__)

BATCH = 200


@dataclass(slots=True)
class Outcome:
    """What one batch leaves to publish."""

    granted: list[Grant] = field(default_factory=list)
    operated: Mapping[str, Sequence[str]] = field(default_factory=dict)  # items by host
    wanted_bases: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    finishing: list[str] = field(default_factory=list)
    more: bool = False  # the batch was full: there may be more to grant at once

    def publish(self, publisher: Publisher, database: Database) -> None:
        self._wake_hosts(publisher, database)
        for host_uuid, uuids in self.operated.items():
            publisher.wake_host(host_uuid, uuids, most=len(uuids))
        for host_uuid, uuids in self.wanted_bases.items():
            publisher.publish(TaskName.PREPARE_BASE, *uuids, queue=host_queue(host_uuid))
        if self.finishing:
            publisher.publish(TaskName.FINISH, *self.finishing)

    def _wake_hosts(self, publisher: Publisher, database: Database) -> None:
        if not self.granted:
            return
        uuids: dict[str, list[str]] = defaultdict(list)
        for grant in self.granted:
            uuids[grant.host.uuid].append(grant.item.uuid)
        hosts = {
            grant.host.uuid: WokenHost(
                grant.host.machine, grant.host.processes, len(uuids[grant.host.uuid])
            )
            for grant in self.granted
        }
        numbers = waking.messages(hosts, leases.held(database, list(hosts)))
        for host_uuid, number in numbers.items():
            publisher.wake_host(host_uuid, uuids[host_uuid], most=number)


class Scheduler:
    def __init__(
        self, database: Database, publisher: Publisher, settings: Settings, rng: random.Random
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._settings = settings
        self._rng = rng

    def run(self) -> int:
        """Grant until nothing more can be granted now; how many items were."""
        granted = 0
        while True:
            outcome = self._database.run(self._batch)
            outcome.publish(self._publisher, self._database)
            granted += len(outcome.granted)
            if not outcome.more:
                return granted

    def _batch(self, connection: Connection) -> Outcome:
        outcome = Outcome()
        if not grants.try_lock(connection):
            return outcome
        operated = waiting_operations.grant(connection)
        outcome.operated = operated.items
        outcome.finishing += operated.finishing
        waiting = grants.waiting_jobs(connection, per_job=BATCH)
        grantable = [job for job in waiting if self._is_grantable(connection, job, outcome)]
        if not grantable:
            return outcome
        view = world.load(
            connection,
            defaults=world.Defaults.of(self._settings),
            keep_free=self._settings.storage_keep_free,
        )
        by_uuid = {job.job.uuid: job for job in grantable}
        budget = self._budget(connection, grantable, view)
        if not budget:
            return outcome
        open_items, weights = grants.shares(connection)
        taken = [
            (by_uuid[uuid], _take(connection, uuid, number))
            for uuid, number in divide([j.job for j in grantable], open_items, weights, budget)
        ]
        self._look_for_addresses(connection, taken, grantable, view)
        made: list[tuple[JobPlanner, Grant]] = []
        for job, waiting_items in taken:
            weight = weights.get(job.job.account_uuid, 1.0)
            made += self._grant_job(connection, job, waiting_items, view, outcome, weight)
        grant_rows.write(connection, made)
        outcome.granted = [grant for _, grant in made]
        outcome.more = outcome.more or len(made) == BATCH
        return outcome

    def _look_for_addresses(
        self,
        connection: Connection,
        taken: Sequence[tuple[SchedulableJob, Sequence[WaitingItem]]],
        grantable: Sequence[SchedulableJob],
        view: world.World,
    ) -> None:
        """Those that these items ask for, and as many others as they may need, none of which an
        item of a later batch asks for."""
        specs = [(job.spec, [item.ordinal for item in of_job]) for job, of_job in taken]
        wanted = networks.Wanted(
            {job.vm_uuid for job, _ in taken if not job.spec.nics},
            [[nic.l3_network_uuid for nic in spec.nics] for spec, _ in specs if spec.nics],
            [pair for spec, ordinals in specs for pair in spec.asked_ips(ordinals)],
            [kept for job in grantable for kept in job.spec.kept_ips],
        )
        needs = networks.needs(connection, wanted, sum(len(of_job) for _, of_job in taken))
        found = (networks.load_network(connection, *need, self._rng) for need in needs.items())
        view.l3_networks = {network.uuid: network for network in found if network is not None}
        view.macs = grants.unused_macs(
            connection, (mac for spec, ordinals in specs for mac in spec.asked_macs(ordinals))
        )

    def _budget(
        self, connection: Connection, jobs_: Sequence[SchedulableJob], view: world.World
    ) -> int:
        """How many items this batch may take; without any slot the jobs say what they wait for."""
        if not all(job.needs_base for job in jobs_):
            return BATCH
        connected = [c for c in view.candidates if c.connected]
        free = [c.builds.free for c in connected]
        slots = BATCH if None in free else sum(max(0, number or 0) for number in free)
        if slots == 0:
            reason = WaitReason.HOST_SLOTS if connected else WaitReason.HOST_LOST
            grants.set_wait_reason(connection, [job.job.uuid for job in jobs_], reason)
        return min(BATCH, slots)

    def _is_grantable(self, connection: Connection, job: SchedulableJob, outcome: Outcome) -> bool:
        """True once the job's base is Ready; until then it is asked for, waited for, or its
        failure ends the job's names."""
        if not job.needs_base or job.base_state is BaseSetState.READY:
            return True
        if job.base_state is BaseSetState.FAILED:
            assert job.base_error is not None
            self._fail_all(connection, job, job.base_error, outcome)
            return False
        if job.base_set_uuid is None:
            asked = base_sets.ask(connection, job.job.uuid, job.spec)
            if asked:
                outcome.wanted_bases[base_sets.host_of(connection, asked)].append(asked)
        grants.set_wait_reason(connection, [job.job.uuid], job.base_wait or WaitReason.BASE)
        return False

    def _fail_all(
        self, connection: Connection, job: SchedulableJob, error: ErrorCode, outcome: Outcome
    ) -> None:
        ended = items.end_waiting(connection, job.job.uuid, to=ItemState.FAILED, error=error)
        jobs.note_error(connection, job.job.uuid, error)
        if items.count_ends(connection, job.job.uuid, ItemState.FAILED, ended) and (
            jobs.begin_finishing(connection, job.job.uuid)
        ):
            outcome.finishing.append(job.job.uuid)

    def _grant_job(
        self,
        connection: Connection,
        job: SchedulableJob,
        taken: Sequence[WaitingItem],
        view: world.World,
        outcome: Outcome,
        weight: float,
    ) -> list[tuple[JobPlanner, Grant]]:
        source = sources.load(connection, job.vm_uuid)
        if source is None:
            gone = ResourceNotFound(f"the source vm[uuid:{job.vm_uuid}] was removed meanwhile")
            self._fail_all(connection, job, gone.error_code, outcome)
            return []
        if job.needs_base and not base_sets.hold(connection, str(job.base_set_uuid)):
            grants.set_wait_reason(connection, [job.job.uuid], WaitReason.BASE)
            return []
        if job.spec.strategy is CloneStrategy.JUST_CREATE:
            self._create_records(connection, job, source, taken, outcome)
            return []
        assert job.base_set_uuid is not None
        first_start = job.kind is JobKind.START
        planner = JobPlanner(
            job_uuid=job.job.uuid,
            # A record's first start may be asked for by admin, and stays its owner's.
            account_uuid=operations.owner_of(connection, taken[0].vm_uuid)
            if first_start and taken
            else job.job.account_uuid,
            weight=weight,
            spec=job.spec,
            source=source,
            base_set_uuid=job.base_set_uuid,
            bases=sources.load_bases(connection, job.base_set_uuid, job.spec),
            world=view,
            needs=job.needs,
            thin=ThinShare.of_settings(self._settings),
            first_start=first_start,
        )
        return self._plan_items(connection, job, planner, taken, outcome)

    def _plan_items(
        self,
        connection: Connection,
        job: SchedulableJob,
        planner: JobPlanner,
        taken: Sequence[WaitingItem],
        outcome: Outcome,
    ) -> list[tuple[JobPlanner, Grant]]:
        macs = grants.free_macs(
            connection, len(taken) * max(1, len(planner.nics.wishes)), self._rng
        )
        ids = (
            [grants.internal_id_of(connection, item.vm_uuid) for item in taken]
            if planner.first_start
            else grants.internal_ids(connection, len(taken))
        )
        made: list[tuple[JobPlanner, Grant]] = []
        failures: dict[str, CloneError] = {}
        reason = None
        for item, internal_id in zip(taken, ids, strict=True):
            try:
                grant = planner.plan(item, macs, internal_id)
            except CloneError as error:
                failures[item.uuid] = not_created(item.name, error)
                continue
            if isinstance(grant, WaitReason):
                reason = grant
                break
            made.append((planner, grant))
        grants.set_wait_reason(connection, [job.job.uuid], reason or WaitReason.HOST_SLOTS)
        if (
            failures
            and items.fail_waiting(connection, job.job.uuid, failures)
            and jobs.begin_finishing(connection, job.job.uuid)
        ):
            outcome.finishing.append(job.job.uuid)
        return made

    def _create_records(
        self,
        connection: Connection,
        job: SchedulableJob,
        source: sources.SourceVm,
        taken: Sequence[WaitingItem],
        outcome: Outcome,
    ) -> None:
        rows = sources.row_to_clone(connection, source.uuid)
        vms = [
            rows
            | {
                "uuid": item.vm_uuid,
                "name": item.name,
                "account_uuid": job.job.account_uuid,
                "state": VmState.CREATED,
            }
            | grant_rows.description(job.spec)
            for item in taken
        ]
        grants.create_records(connection, job.job.uuid, taken, vms)
        operations.keep_blueprints(
            connection,
            [item.vm_uuid for item in taken],
            {"source": source.uuid, "spec": spec_to_json(job.spec)},
        )
        if items.count_ends(connection, job.job.uuid, ItemState.SUCCEEDED, len(taken)) and (
            jobs.begin_finishing(connection, job.job.uuid)
        ):
            outcome.finishing.append(job.job.uuid)
        outcome.more = bool(taken)


def _take(connection: Connection, job_uuid: str, number: int) -> list[WaitingItem]:
    return [WaitingItem(*row) for row in grants.take_waiting(connection, job_uuid, number)]
