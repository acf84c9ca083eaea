"""A source VM as the scheduler copies it: its row, volumes, networks, drives and bases."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlmodel import col

from app.domain.plan import (
    BaseFile,
    CloneStrategy,
    HypervisorType,
    SourceRef,
    StorageRef,
    StorageType,
    VolumeFormat,
    VolumeType,
)
from app.domain.spec import CloneSpec
from app.store.models import (
    Base,
    Origin,
    PrimaryStorage,
    QuotaName,
    VmCdRom,
    VmInstance,
    VmNic,
    VmState,
    Volume,
)
from app.store.source_volumes import source_volumes
from app.store.sql import select_columns


@dataclass(frozen=True, slots=True)
class SourceNic:
    device_id: int
    l3_network_uuid: str
    driver_type: str


@dataclass(frozen=True, slots=True)
class SourceBase:
    """One volume to clone, with its base."""

    volume_uuid: str
    type: VolumeType
    device_id: int
    disk_offering_uuid: str | None
    root_image_uuid: str | None
    file: BaseFile
    actual_size: int  # the base's allocated bytes: what a full copy will move


@dataclass(frozen=True, slots=True)
class SourceVm:
    uuid: str
    account_uuid: str
    state: VmState
    zone_uuid: str
    last_host_uuid: str | None
    hypervisor_type: HypervisorType
    cpu_num: int
    memory_size: int
    platform: str
    architecture: str
    guest_os_type: str | None
    allocator_strategy: str | None
    default_l3_network_uuid: str | None
    nics: tuple[SourceNic, ...]
    cdroms: tuple[tuple[str | None, str | None], ...]  # (ISO's image uuid, its path)


def load(connection: Connection, vm_uuid: str) -> SourceVm | None:
    row = connection.execute(
        select_columns(VmInstance).where(col(VmInstance.uuid) == vm_uuid)
    ).one_or_none()
    if row is None:
        return None
    nics = connection.execute(
        select_columns(VmNic.device_id, VmNic.l3_network_uuid, VmNic.driver_type)
        .where(col(VmNic.vm_instance_uuid) == vm_uuid)
        .order_by(col(VmNic.device_id))
    ).all()
    cdroms = connection.execute(
        select_columns(VmCdRom.iso_uuid, VmCdRom.iso_install_path)
        .where(col(VmCdRom.vm_instance_uuid) == vm_uuid)
        .order_by(col(VmCdRom.device_id))
    ).all()
    return SourceVm(
        uuid=row.uuid,
        account_uuid=row.account_uuid,
        state=row.state,
        zone_uuid=row.zone_uuid,
        last_host_uuid=row.host_uuid or row.last_host_uuid,
        hypervisor_type=row.hypervisor_type,
        cpu_num=row.cpu_num,
        memory_size=row.memory_size,
        platform=row.platform,
        architecture=row.architecture,
        guest_os_type=row.guest_os_type,
        allocator_strategy=row.allocator_strategy,
        default_l3_network_uuid=row.default_l3_network_uuid,
        nics=tuple(SourceNic(*nic) for nic in nics),
        cdroms=tuple((cdrom.iso_uuid, cdrom.iso_install_path) for cdrom in cdroms),
    )


@dataclass(frozen=True, slots=True)
class FoundVm:
    uuid: str
    platform: str
    hypervisor_type: HypervisorType
    host_uuid: str | None
    host_name: str | None


def find(connection: Connection, named: str) -> list[FoundVm]:
    """The VMs of that uuid or name that are not destroyed."""
    rows = connection.execute(
        text(
            "SELECT v.uuid, v.platform, v.hypervisor_type::text AS type, h.uuid AS host_uuid, "
            "h.name FROM vm_instances v LEFT JOIN hosts h "
            "ON h.uuid = COALESCE(v.host_uuid, v.last_host_uuid) "
            "WHERE (v.uuid = :named OR v.name = :named) AND v.destroyed_at IS NULL ORDER BY v.uuid"
        ),
        {"named": named},
    ).all()
    return [
        FoundVm(row.uuid, row.platform, HypervisorType(row.type), row.host_uuid, row.name)
        for row in rows
    ]


def ref(connection: Connection, vm_uuid: str) -> SourceRef:
    """As a hypervisor looks for it."""
    row = connection.execute(
        text(
            "SELECT v.uuid, v.name, v.architecture, v.cpu_num, v.memory_size, "
            "ARRAY(SELECT driver_type FROM vm_nics WHERE vm_instance_uuid = v.uuid "
            " ORDER BY device_id) AS nics, "
            "(SELECT count(*) FROM vm_cdroms WHERE vm_instance_uuid = v.uuid) AS cdroms "
            "FROM vm_instances v WHERE v.uuid = :uuid"
        ),
        {"uuid": vm_uuid},
    ).one()
    volumes = source_volumes(connection, vm_uuid, with_data_volumes=True)
    return SourceRef(**{**row._mapping, "nics": tuple(row.nics)}, volumes=tuple(volumes))


def row_to_clone(connection: Connection, vm_uuid: str) -> dict[str, Any]:
    """The columns that a clone keeps of its source, ready to insert."""
    kept = (
        VmInstance.description,
        VmInstance.zone_uuid,
        VmInstance.image_uuid,
        VmInstance.instance_offering_uuid,
        VmInstance.default_l3_network_uuid,
        VmInstance.platform,
        VmInstance.architecture,
        VmInstance.guest_os_type,
        VmInstance.type,
        VmInstance.hypervisor_type,
        VmInstance.cpu_num,
        VmInstance.cpu_speed,
        VmInstance.memory_size,
        VmInstance.allocator_strategy,
    )
    row = connection.execute(
        select_columns(*map(col, kept)).where(col(VmInstance.uuid) == vm_uuid)
    ).one()
    return dict(row._mapping) | {"origin": Origin.CLONED}


def cloneable_volumes(connection: Connection, vm_uuid: str) -> list[tuple[VolumeType, str]]:
    """(type, uuid) of the volumes that are the VM's alone."""
    rows = connection.execute(
        select_columns(Volume.type, Volume.uuid).where(
            col(Volume.vm_instance_uuid) == vm_uuid, col(Volume.is_shareable).is_(False)
        )
    ).all()
    return [(row.type, row.uuid) for row in rows]


def need_of(connection: Connection, source: SourceVm, spec: CloneSpec) -> dict[QuotaName, int]:
    """What one clone counts against its account's quotas."""
    starts = spec.strategy is CloneStrategy.INSTANT_START
    need = {
        QuotaName.VM_TOTAL_NUM: 1,
        QuotaName.VM_NUM: int(starts),
        QuotaName.VM_CPU_NUM: source.cpu_num if starts else 0,
        QuotaName.VM_MEMORY_SIZE: source.memory_size if starts else 0,
    }
    if spec.strategy is CloneStrategy.JUST_CREATE:
        return need
    rows = connection.execute(
        select_columns(Volume.type, Volume.uuid, Volume.size).where(
            col(Volume.vm_instance_uuid) == source.uuid, col(Volume.is_shareable).is_(False)
        )
    ).all()
    copied = [row for row in rows if spec.includes(row.type, row.uuid)]
    sizes = [max(row.size, (spec.root.size or 0) * (row.type is VolumeType.ROOT)) for row in copied]
    data = sum(row.type is VolumeType.DATA for row in copied)
    return need | {
        QuotaName.DATA_VOLUME_NUM: data + len(spec.disks),
        QuotaName.VOLUME_CAPACITY: sum(sizes) + sum(disk.size or 0 for disk in spec.disks),
    }


def load_bases(connection: Connection, base_set_uuid: str, spec: CloneSpec) -> list[SourceBase]:
    """The bases that a Ready set, held by `base_sets.hold`, has for the spec, root first."""
    query = (
        select_columns(
            Base,
            col(PrimaryStorage.type).label("storage_type"),
            PrimaryStorage.url,
            col(Volume.type).label("volume_type"),
            Volume.device_id,
            Volume.disk_offering_uuid,
            Volume.root_image_uuid,
        )
        .join(PrimaryStorage, col(PrimaryStorage.uuid) == col(Base.primary_storage_uuid))
        .join(Volume, col(Volume.uuid) == col(Base.volume_uuid))
        .where(col(Base.base_set_uuid) == base_set_uuid)
        .order_by(col(Volume.type) != VolumeType.ROOT, col(Volume.device_id), col(Volume.uuid))
    )
    return [
        SourceBase(
            volume_uuid=row.volume_uuid,
            type=VolumeType(row.volume_type),
            device_id=row.device_id,
            disk_offering_uuid=row.disk_offering_uuid,
            root_image_uuid=row.root_image_uuid,
            file=BaseFile(
                uuid=row.uuid,
                storage=StorageRef(
                    row.primary_storage_uuid, StorageType(row.storage_type), row.url
                ),
                path=row.install_path,
                format=row.format,
                virtual_size=row.virtual_size,
                source_target=row.source_target,
            ),
            actual_size=row.actual_size or 0,
        )
        for row in connection.execute(query).all()
        if spec.includes(VolumeType(row.volume_type), row.volume_uuid)
    ]


def bases_to_be(connection: Connection, vm_uuid: str, spec: CloneSpec) -> list[SourceBase]:
    """What `load_bases` will find once a set was made of the source as it is declared: by the last
    set that is there, and of what none tells by the volumes themselves, in full size."""
    rows = connection.execute(
        text(
            "SELECT v.uuid, v.type::text AS type, v.device_id, v.disk_offering_uuid, "
            "v.root_image_uuid, v.primary_storage_uuid, s.type::text AS storage_type, s.url, "
            "v.install_path, COALESCE(b.format, v.format)::text AS format, "
            "COALESCE(b.virtual_size, v.size) AS virtual_size, "
            "COALESCE(b.actual_size, v.actual_size, v.size) AS actual_size "
            "FROM volumes v JOIN primary_storages s ON s.uuid = v.primary_storage_uuid "
            "LEFT JOIN LATERAL (SELECT b.* FROM bases b JOIN base_sets t "
            " ON t.uuid = b.base_set_uuid AND t.state = 'Ready' WHERE b.volume_uuid = v.uuid "
            " ORDER BY t.frozen_at DESC LIMIT 1) b ON TRUE "
            "WHERE v.vm_instance_uuid = :vm AND NOT v.is_shareable "
            "ORDER BY v.type <> 'Root', v.device_id, v.uuid"
        ),
        {"vm": vm_uuid},
    ).all()
    return [
        SourceBase(
            volume_uuid=row.uuid,
            type=VolumeType(row.type),
            device_id=row.device_id,
            disk_offering_uuid=row.disk_offering_uuid,
            root_image_uuid=row.root_image_uuid,
            file=BaseFile(
                uuid="",
                storage=StorageRef(
                    row.primary_storage_uuid, StorageType(row.storage_type), row.url
                ),
                path=row.install_path or "",
                format=VolumeFormat(row.format),
                virtual_size=row.virtual_size,
            ),
            actual_size=row.actual_size,
        )
        for row in rows
        if spec.includes(VolumeType(row.type), row.uuid)
    ]
