"""Judges an accepted job against the inventory, in one transaction that holds its row.

A refusal ends the job with ZStack's ErrorCode; otherwise its items are written, with every uuid
they will need, and a base set is asked for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row

from app.domain.disk_params import DiskWish
from app.domain.errors import (
    CloneError,
    InvalidArgument,
    OperationFailed,
    PermissionDenied,
    ResourceNotFound,
    VmStateNotAllowed,
)
from app.domain.guest import check_platform
from app.domain.plan import CloneStrategy, HypervisorType, VolumeType
from app.domain.request import CloneRequest, parse_clone_request
from app.domain.spec import CloneSpec, VolumeWish
from app.queue import TaskName, host_queue
from app.store import base_sets, jobs, lookups, quotas, removals, sources
from app.store import operations as store_operations
from app.store.codec import spec_to_json
from app.store.jobs import Minted
from app.store.models import REMOVALS, JobKind, QuotaName, VmState
from app.store.sources import SourceVm
from app.zstack import results
from workers import operations
from workers.context import WorkerContext
from workers.judging import check_addresses, with_offerings
from workers.operations import FirstStart

UUID = re.compile("[0-9a-f]{32}")
CLONEABLE = (VmState.RUNNING, VmState.STOPPED, VmState.PAUSED)


@dataclass(frozen=True, slots=True)
class Judged:
    base_set_uuid: str | None = None
    host_uuid: str | None = None
    granted: Mapping[str, Sequence[str]] = field(default_factory=dict)  # removals, by host
    finishing: bool = False  # nothing is left to wait for


def start_job(job_uuid: str, worker: WorkerContext) -> None:
    """Safe to call twice: only an Accepted job is judged, by whoever holds its row."""
    judged = worker.database.run(lambda connection: _judge(connection, job_uuid))
    if judged is None:
        return
    for host_uuid, item_uuids in judged.granted.items():
        worker.wake_host(host_uuid, item_uuids)
    if judged.finishing:
        worker.publish(TaskName.FINISH, job_uuid)
    if judged.base_set_uuid and judged.host_uuid:
        worker.publish(
            TaskName.PREPARE_BASE, judged.base_set_uuid, queue=host_queue(judged.host_uuid)
        )
    worker.publish(TaskName.SCHEDULE)


def _judge(connection: Connection, job_uuid: str) -> Judged | None:
    job = jobs.lock_accepted(connection, job_uuid)
    if job is None:
        return None
    if job.kind is not JobKind.CLONE:
        return _judge_operation(connection, job)
    try:
        request = parse_clone_request(job.request)
        source = _source(connection, job.vm_instance_uuid, job.account_uuid)
        _check_claims(request, source)
        if _boots(source):
            check_platform(request.guest, source.platform)
        _check_references(connection, request)
        _check_shares(connection, request, source, job.account_uuid)
        spec = with_offerings(connection, _spec(request))
        volumes = _count_volumes(connection, source, spec)
        if volumes == 0:
            raise OperationFailed(
                f"vm[uuid:{source.uuid}] has no root volume; nothing can be cloned from it"
            )
        need = sources.need_of(connection, source, spec)
        quotas.check(
            connection,
            job.account_uuid,
            {name: amount * len(request.names) for name, amount in need.items()},
        )
    except CloneError as error:
        return _refuse(connection, job_uuid, error)
    jobs.begin(
        connection,
        job_uuid,
        names=request.names,
        minted=Minted(volumes=volumes + len(spec.disks), nics=len(spec.nics or source.nics)),
        spec=spec_to_json(spec),
        ignored=tuple(
            dict.fromkeys(request.ignored + (() if _boots(source) else request.guest_fields))
        ),
    )
    quotas.note_need(connection, job_uuid, need)
    if spec.strategy is CloneStrategy.JUST_CREATE:
        return Judged()
    base_set = base_sets.ask(connection, job_uuid, spec)
    return Judged(base_set, base_sets.host_of(connection, base_set) if base_set else None)


def _judge_operation(connection: Connection, job: Row[Any]) -> Judged:
    kind, uuid = job.kind, job.vm_instance_uuid
    try:
        with connection.begin_nested():
            if kind in REMOVALS:
                if uuid == removals.OUR_OWN:
                    vms = job.request["vmInstanceUuids"]
                else:
                    vms = _one_to_remove(connection, kind, uuid, job.account_uuid)
                granted = removals.begin(connection, job.uuid, kind, vms)
                return Judged(granted=granted, finishing=not granted)
            vm = operations.hold_vm(connection, kind, uuid, job.account_uuid)
            begun = operations.judge(connection, job.uuid, kind, vm, job.request)
            if isinstance(begun, FirstStart):
                return _start_first(connection, job.uuid, begun)
    except CloneError as error:
        return _refuse(connection, job.uuid, error)
    if begun.item_uuid is None or begun.host_uuid is None:
        return Judged(finishing=True)
    return Judged(granted={begun.host_uuid: [begun.item_uuid]})


def _one_to_remove(
    connection: Connection, kind: JobKind, uuid: str, account_uuid: str
) -> list[str]:
    """None to remove is as good as removed. Raises as `operations.hold_vm`."""
    if not UUID.fullmatch(uuid):
        raise ResourceNotFound(
            f"invalid field[uuid], resource[uuid:{uuid}, type:VmInstanceVO] not found"
        )
    try:
        operations.hold_vm(connection, kind, uuid, account_uuid)
    except ResourceNotFound:
        if kind is JobKind.EXPUNGE:
            raise
        return []
    return [uuid]


def _start_first(connection: Connection, job_uuid: str, start: FirstStart) -> Judged:
    # As when the record was asked for: a share may have been revoked since.
    source = _source(connection, start.source_uuid, start.vm.account_uuid)
    # The record itself counts already.
    need = sources.need_of(connection, source, start.spec) | {QuotaName.VM_TOTAL_NUM: 0}
    quotas.check(connection, start.vm.account_uuid, need)
    jobs.begin(
        connection,
        job_uuid,
        names=[start.vm.name],
        minted=Minted(
            volumes=_count_volumes(connection, source, start.spec) + len(start.spec.disks),
            nics=len(start.spec.nics or source.nics),
        ),
        spec=spec_to_json(start.spec),
        ignored=(),
    )
    quotas.note_need(connection, job_uuid, need)
    store_operations.begin_first_start(connection, job_uuid, start.vm.uuid, source.uuid)
    base_set = base_sets.ask(connection, job_uuid, start.spec)
    return Judged(base_set, base_sets.host_of(connection, base_set) if base_set else None)


def _refuse(connection: Connection, job_uuid: str, error: CloneError) -> Judged:
    jobs.refuse(connection, job_uuid, error.error_code, results.error_result(error.error_code))
    return Judged()


def _boots(source: SourceVm) -> bool:
    """Whether its clones have guests that can be told anything."""
    return source.hypervisor_type is HypervisorType.KVM


def _source(connection: Connection, vm_uuid: str, account_uuid: str) -> SourceVm:
    source = sources.load(connection, vm_uuid)
    if source is None:
        raise ResourceNotFound(
            f"invalid field[vmInstanceUuid], resource[uuid:{vm_uuid}, type:VmInstanceVO] not found"
        )
    if not lookups.may_copy(
        connection, account_uuid, "VmInstanceVO", vm_uuid, owner_uuid=source.account_uuid
    ):
        raise PermissionDenied(
            f"vm[uuid:{vm_uuid}] belongs to another account; sign in as its owner or as admin, or "
            "have it shared"
        )
    if source.state not in CLONEABLE:
        allowed = ", ".join(CLONEABLE)
        raise OperationFailed(
            f"vm[uuid:{vm_uuid}] cannot be cloned in its state",
            cause=VmStateNotAllowed(
                f"current vm instance state[{source.state}] doesn't allow to proceed "
                f"message[APICloneVmInstanceMsg], allowed states are [{allowed}]"
            ),
        )
    return source


def _count_volumes(connection: Connection, source: SourceVm, spec: CloneSpec) -> int:
    """How many volumes each clone gets. Raises InvalidArgument for a choice of another's, or
    without the root volume."""
    found = sources.cloneable_volumes(connection, source.uuid)
    for choice in spec.volumes:
        kind = next((kind for kind, uuid in found if uuid == choice.uuid), None)
        if kind is None:
            raise InvalidArgument(
                f"field[volumes]: vm[uuid:{source.uuid}] has no volume[uuid:{choice.uuid}] that "
                "can be cloned"
            )
        if kind is VolumeType.ROOT and choice.include is False:
            raise InvalidArgument(
                f"field[volumes]: volume[uuid:{choice.uuid}] is the root volume, without which "
                "there is no clone; leave include out"
            )
    return sum(spec.includes(kind, uuid) for kind, uuid in found)


def _check_references(connection: Connection, request: CloneRequest) -> None:
    for name, uuid, kind in _references(request):
        if not lookups.exists(connection, kind, uuid):
            raise ResourceNotFound(
                f"invalid field[{name}], resource[uuid:{uuid}, type:{kind}] not found"
            )
    check_addresses(connection, request)


def _check_shares(
    connection: Connection, request: CloneRequest, source: SourceVm, account_uuid: str
) -> None:
    """Clones may be where their source is; anywhere else only on networks shared with the
    account. So must be the offerings that are named."""
    named = [nic.l3_network_uuid for nic in request.nics]
    named += [l3_uuid for l3_uuid, _ in (*request.static_ips, *request.custom_macs)]
    named += [subnet.l3_network_uuid for subnet in request.subnets]
    for l3_uuid in dict.fromkeys(named):
        if any(nic.l3_network_uuid == l3_uuid for nic in source.nics):
            continue
        if not lookups.may_copy(connection, account_uuid, "L3NetworkVO", l3_uuid):
            raise PermissionDenied(
                f"l3Network[uuid:{l3_uuid}] is not shared with account[uuid:{account_uuid}]; have "
                "it shared by admin"
            )
    for disk in filter(None, (request.disks.root, *request.disks.data)):
        offering = disk.offering_uuid
        if offering and not lookups.may_copy(connection, account_uuid, "DiskOfferingVO", offering):
            raise PermissionDenied(
                f"diskOffering[uuid:{offering}] is not shared with account[uuid:{account_uuid}]; "
                "have it shared by admin"
            )


def _references(request: CloneRequest) -> Iterator[tuple[str, str, str]]:
    optional = (
        ("clusterUuid", request.cluster_uuid, "ClusterVO"),
        ("hostUuid", request.host_uuid, "HostVO"),
        (
            "primaryStorageUuidForRootVolume",
            request.primary_storage_for_root,
            "PrimaryStorageVO",
        ),
        (
            "primaryStorageUuidForDataVolume",
            request.primary_storage_for_data,
            "PrimaryStorageVO",
        ),
    )
    yield from ((name, uuid, kind) for name, uuid, kind in optional if uuid)
    yield from (
        ("volumes", choice.storage_uuid, "PrimaryStorageVO")
        for choice in request.volumes
        if choice.storage_uuid
    )
    yield from (("vmNicParams", nic.l3_network_uuid, "L3NetworkVO") for nic in request.nics)
    of_tags = [l3_uuid for l3_uuid, _ in (*request.static_ips, *request.custom_macs)]
    of_tags += [subnet.l3_network_uuid for subnet in request.subnets]
    yield from (("systemTags", l3_uuid, "L3NetworkVO") for l3_uuid in of_tags)
    for disk in filter(None, (request.disks.root, *request.disks.data)):
        if disk.storage_uuid:
            yield "diskAOs", disk.storage_uuid, "PrimaryStorageVO"
        if disk.offering_uuid:
            yield "diskAOs", disk.offering_uuid, "DiskOfferingVO"


def _check_claims(request: CloneRequest, source: SourceVm) -> None:
    """What elements of diskAOs say of the source is so. Raises InvalidArgument."""
    is_so = {
        "platform": source.platform,
        "architecture": source.architecture,
        "guestOsType": source.guest_os_type,
    }
    for where, field_, said in request.disks.claims:
        known = is_so[field_]
        if known is not None and said.lower() != known.lower():
            raise InvalidArgument(
                f"field[{where}.{field_}] is {said}, but the source's is {known}, and a clone's is "
                "the same; leave it out"
            )


def _spec(request: CloneRequest) -> CloneSpec:
    root = request.disks.root or DiskWish()
    return CloneSpec(
        strategy=request.strategy,
        with_data_volumes=request.with_data_volumes,
        root=VolumeWish(
            request.root_mode,
            root.storage_uuid or request.primary_storage_for_root,
            request.root_volume_system_tags + root.system_tags,
            size=root.size,
            name=root.name,
            offering_uuid=root.offering_uuid,
        ),
        data=VolumeWish(
            request.data_mode, request.primary_storage_for_data, request.data_volume_system_tags
        ),
        cluster_uuid=request.cluster_uuid,
        host_uuid=request.host_uuid,
        description=request.description,
        static_ips=request.static_ips,
        cdroms=request.cdroms,
        system_tags=request.system_tags,
        user_tags=request.user_tags,
        volumes=request.volumes,
        guest=request.guest,
        reset_tpm=request.reset_tpm,
        nics=request.nics,
        disks=request.disks.data,
        machine=request.machine,
        custom_macs=request.custom_macs,
        subnets=request.subnets,
        names=len(request.names),
    )
