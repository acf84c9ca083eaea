"""Grants: who is next, on which host, with everything reserved, in batches under one lock.

One transaction reads the world, decides, and writes items, VMs, volumes, NICs, addresses and
reservations together; granted items are published to their hosts after it has committed.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from app.domain import waking
from app.domain.errors import CloneError, ErrorCode, ResourceNotFound
from app.domain.fairness import divide
from app.domain.plan import ClonePlan, CloneStrategy, NicPlan, VolumeType
from app.domain.spec import CloneSpec
from app.domain.states import BaseSetState, ItemState, WaitReason
from app.domain.steps import StepName
from app.domain.waking import WokenHost
from app.queue import Publisher, TaskName, host_queue
from app.settings import Settings
from app.store import (
    base_sets,
    capacity,
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
from app.store.capacity import Holding
from app.store.codec import plan_to_json, spec_to_json
from app.store.grants import GrantRows, SchedulableJob
from app.store.models import JobKind, NicState, Origin, ReservationKind, VmState, VolumeStatus
from app.store.nic_planning import Taken
from app.store.planning import Grant, JobPlanner, ThinShare, WaitingItem, not_created
from app.store.session import Database

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
        self._write(connection, made)
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
            | _description(job.spec)
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

    def _write(self, connection: Connection, made: Sequence[tuple[JobPlanner, Grant]]) -> None:
        if not made:
            return
        rows = GrantRows()
        holdings: list[Holding] = []
        templates: dict[str, dict[str, Any]] = {}
        for planner, grant in made:
            source_uuid = planner.source.uuid
            if source_uuid not in templates:
                templates[source_uuid] = sources.row_to_clone(connection, source_uuid)
            _add_rows(rows, planner, grant, templates[source_uuid])
            holdings += _holdings(grant)
        grants.write(connection, rows, worker="scheduler")
        capacity.reserve(connection, holdings)


def _take(connection: Connection, job_uuid: str, number: int) -> list[WaitingItem]:
    return [WaitingItem(*row) for row in grants.take_waiting(connection, job_uuid, number)]


def _description(spec: CloneSpec) -> dict[str, Any]:
    return {} if spec.description is None else {"description": spec.description}


def _holdings(grant: Grant) -> Iterator[Holding]:
    plan = grant.plan
    if grant.holds_host:
        yield Holding(ReservationKind.CPU, plan.host.uuid, plan.vm_uuid, plan.cpu_num)
        yield Holding(ReservationKind.MEMORY, plan.host.uuid, plan.vm_uuid, plan.memory_size)
    for volume, amount in zip(plan.volumes, grant.storage_bytes, strict=True):
        yield Holding(ReservationKind.STORAGE, volume.storage.uuid, volume.uuid, amount)


def _add_rows(rows: GrantRows, planner: JobPlanner, grant: Grant, template: dict[str, Any]) -> None:
    plan, account_uuid = grant.plan, planner.account_uuid
    starts = plan.strategy is CloneStrategy.INSTANT_START
    placed: dict[str, Any] = {
        "uuid": plan.vm_uuid,
        "cluster_uuid": grant.host.cluster_uuid,
        "host_uuid": plan.host.uuid if starts else None,
        "last_host_uuid": plan.host.uuid,
        "root_volume_uuid": plan.root_volume.uuid,
        "default_l3_network_uuid": next(
            (nic.l3_network_uuid for nic in plan.nics if nic.is_default), None
        ),
        "state": VmState.STARTING if starts else VmState.CREATED,
    }
    if planner.first_start:
        rows.records.append(placed | {"cpu_num": plan.cpu_num, "memory_size": plan.memory_size})
    else:
        rows.vms.append(
            template
            | {
                "internal_id": grant.internal_id,
                "name": plan.vm_name,
                "account_uuid": account_uuid,
            }
            | placed
            | _description(planner.spec)
        )
    rows.volumes += _volume_rows(planner, plan)
    for address in grant.addresses:
        nic = address.nic
        rows.nics.append(
            {
                "uuid": nic.uuid,
                "vm_instance_uuid": plan.vm_uuid,
                "l3_network_uuid": nic.l3_network_uuid,
                "mac": nic.mac,
                "internal_name": nic.internal_name,
                "device_id": nic.device_id,
                "driver_type": nic.driver_type,
                "state": NicState.ENABLE if nic.link_up else NicState.DISABLE,
                "meta_data": nic.meta_data,
            }
        )
        rows.used_ips += [_used_ip_row(nic, taken) for taken in address.taken]
    rows.items.append(
        {
            "uuid": grant.item.uuid,
            "host_uuid": plan.host.uuid,
            "plan": plan_to_json(plan),
            # What its worker begins with: the host is allocated by this grant.
            "step": StepName.COPY_ROOT_VOLUME,
            "turn": grant.turn,
            "bytes_total": grant.bytes_total,
        }
    )


def _volume_rows(planner: JobPlanner, plan: ClonePlan) -> Iterator[dict[str, Any]]:
    names = _volume_names(planner, plan)
    for number, (volume, name) in enumerate(zip(plan.volumes, names, strict=True)):
        base = planner.bases[number] if number < len(planner.bases) else None
        new = None if base else planner.spec.disks[number - len(planner.bases)]
        root = volume is plan.root_volume
        yield {
            "uuid": volume.uuid,
            "name": name,
            "description": f"Root volume for VM[uuid:{plan.vm_uuid}]"
            if root
            else f"DataVolume-{plan.vm_uuid}",
            "account_uuid": planner.account_uuid,
            "vm_instance_uuid": plan.vm_uuid,
            "primary_storage_uuid": volume.storage.uuid,
            "disk_offering_uuid": new.offering_uuid if new else base and base.disk_offering_uuid,
            "root_image_uuid": base and base.root_image_uuid,
            "install_path": volume.path,
            "type": volume.type,
            "format": volume.format,
            "size": volume.size,
            "device_id": volume.device_id,
            "status": VolumeStatus.CREATING,
            "origin": Origin.CLONED,
            "method": volume.method,
            "base_uuid": volume.base and volume.base.uuid,
        }


def _volume_names(planner: JobPlanner, plan: ClonePlan) -> Iterator[str]:
    """ZStack's, where the request gives none."""
    spec = planner.spec
    for base in planner.bases:
        kind = "ROOT" if base.type is VolumeType.ROOT else "DATA"
        wish = spec.wish(base.type, base.volume_uuid)
        yield wish.name or f"{kind}-for-{plan.vm_name}"
    for number, disk in enumerate(spec.disks, start=1):
        yield disk.name or f"DATA-for-{plan.vm_name}-{number}"


def _used_ip_row(nic: NicPlan, taken: Taken) -> dict[str, Any]:
    free = taken.free
    return {
        "uuid": uuid4().hex,
        "ip_range_uuid": free.address_range and free.address_range.uuid,
        "l3_network_uuid": nic.l3_network_uuid,
        "vm_nic_uuid": nic.uuid,
        "ip_version": free.version,
        "ip": free.ip,
        # As in ZStack: a number of IPv6 fits into no long.
        "ip_in_long": free.number if free.version == 4 else 0,
        "netmask": taken.netmask,
        "gateway": taken.gateway,
    }
