"""What a clone request is against the inventory: refused, or a spec with all that it needs.

The same judgement for a job that starts and for a plan that is only asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.domain.disk_params import DiskWish
from app.domain.errors import (
    InvalidArgument,
    OperationFailed,
    PermissionDenied,
    ResourceNotFound,
    VmStateNotAllowed,
)
from app.domain.guest import check_platform
from app.domain.plan import HypervisorType, VolumeType
from app.domain.request import CloneRequest, parse_clone_request
from app.domain.spec import CloneSpec, VolumeWish
from app.store import lookups, quotas, sources
from app.store.models import QuotaName, VmState
from app.store.sources import SourceVm
from app.store.wishes import check_addresses, check_shares, with_offerings

CLONEABLE = (VmState.RUNNING, VmState.STOPPED, VmState.PAUSED)


@dataclass(frozen=True, slots=True)
class JudgedClone:
    request: CloneRequest
    source: SourceVm
    spec: CloneSpec
    volumes: int  # that each clone gets
    need: dict[QuotaName, int]  # of each clone

    @property
    def nics(self) -> int:
        return len(self.spec.nics or self.source.nics)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Parameters that were accepted and have no effect here."""
        of_guests = () if _boots(self.source) else self.request.guest_fields
        return tuple(dict.fromkeys(self.request.ignored + of_guests))


def judge(
    connection: Connection, parameters: Mapping[str, Any], vm_uuid: str, account_uuid: str
) -> JudgedClone:
    """Raises the CloneError that refuses it. Holds the account's quotas until the transaction
    ends."""
    request = parse_clone_request(parameters)
    source = load_source(connection, vm_uuid, account_uuid)
    _check_claims(request, source)
    if _boots(source):
        check_platform(request.guest, source.platform)
    _check_references(connection, request)
    spec = _spec(request)
    check_shares(connection, spec, source, account_uuid)
    spec = with_offerings(connection, spec)
    volumes = count_volumes(connection, source, spec)
    if volumes == 0:
        raise OperationFailed(
            f"vm[uuid:{source.uuid}] has no root volume; nothing can be cloned from it"
        )
    need = sources.need_of(connection, source, spec)
    quotas.check(
        connection,
        account_uuid,
        {name: amount * len(request.names) for name, amount in need.items()},
    )
    return JudgedClone(request, source, spec, volumes, need)


def _boots(source: SourceVm) -> bool:
    """Whether its clones have guests that can be told anything."""
    return source.hypervisor_type is HypervisorType.KVM


def load_source(connection: Connection, vm_uuid: str, account_uuid: str) -> SourceVm:
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


def count_volumes(connection: Connection, source: SourceVm, spec: CloneSpec) -> int:
    """How many volumes each clone gets, new ones too; 0 where nothing can be copied.

    Raises InvalidArgument for a choice of another's, or without the root volume.
    """
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
    copied = sum(spec.includes(kind, uuid) for kind, uuid in found)
    return copied and copied + len(spec.disks)


def _check_references(connection: Connection, request: CloneRequest) -> None:
    for name, uuid, kind in _references(request):
        if not lookups.exists(connection, kind, uuid):
            raise ResourceNotFound(
                f"invalid field[{name}], resource[uuid:{uuid}, type:{kind}] not found"
            )
    check_addresses(connection, request)


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
    yield from (("systemTags", iso, "ImageVO") for iso in request.cdroms or () if iso)
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
