"""Writes adopted VM instances with their volumes, drives and tags."""

from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import Connection, select, tuple_, update
from sqlmodel import SQLModel, col

from app.domain.plan import VolumeType
from app.store.inventory.nics import write_nics
from app.store.inventory.rows import Conflict, replace, table_of, upsert
from app.store.inventory.values import DeclaredVm, Kind
from app.store.models import (
    Origin,
    Tag,
    TagKind,
    VmCdRom,
    VmInstance,
    VmNic,
    VmState,
    Volume,
    VolumeStatus,
)
from app.store.sql import select_columns


def write_vms(
    connection: Connection, vms: Sequence[DeclaredVm], account_uuid: str
) -> list[Conflict]:
    """What could not be written; then the caller must roll back."""
    if not vms:
        return []
    conflicts = _foreign_uuids(connection, vms)
    if conflicts:
        return conflicts
    _write_instances(connection, vms, account_uuid)
    conflicts += _write_volumes(connection, vms, account_uuid)
    conflicts += write_nics(connection, vms)
    _write_cdroms(connection, vms)
    _write_tags(connection, vms)
    return conflicts


def _foreign_uuids(connection: Connection, vms: Sequence[DeclaredVm]) -> list[Conflict]:
    """Uuids that the document claims and that belong to something else already."""
    names = {vm.uuid: vm.name for vm in vms}
    cloned = connection.execute(
        select(col(VmInstance.uuid)).where(
            col(VmInstance.uuid).in_(names), col(VmInstance.origin) != Origin.ADOPTED
        )
    ).scalars()
    conflicts = [
        Conflict(Kind.VM, names[uuid], f"vmclone made the VM {uuid}; it cannot be declared")
        for uuid in cloned
    ]
    owners: list[tuple[type[SQLModel], dict[str, DeclaredVm]]] = [
        (Volume, {volume.uuid: vm for vm in vms for volume in vm.volumes}),
        (VmNic, {nic.uuid: vm for vm in vms for nic in vm.nics}),
    ]
    for model, owner in owners:
        table = table_of(model)
        rows = connection.execute(
            select(table.c.uuid, table.c.vm_instance_uuid).where(table.c.uuid.in_(owner))
        )
        conflicts += [
            Conflict(Kind.VM, owner[uuid].name, f"the uuid {uuid} belongs to VM {vm_uuid}")
            for uuid, vm_uuid in rows
            if vm_uuid != owner[uuid].uuid
        ]
    return conflicts


def _write_instances(connection: Connection, vms: Sequence[DeclaredVm], account_uuid: str) -> None:
    upsert(
        connection,
        VmInstance,
        [
            {
                "uuid": vm.uuid,
                "name": vm.name,
                "description": vm.description,
                "zone_uuid": vm.cluster.zone.uuid,
                "cluster_uuid": vm.cluster.uuid,
                "host_uuid": vm.host.uuid if vm.state is VmState.RUNNING else None,
                "last_host_uuid": vm.host.uuid,
                "root_volume_uuid": vm.volumes[0].uuid,
                "default_l3_network_uuid": vm.default_network.uuid if vm.default_network else None,
                "image_uuid": vm.image.uuid if vm.image else None,
                "instance_offering_uuid": vm.offering.uuid if vm.offering else None,
                "platform": vm.platform,
                "architecture": vm.architecture,
                "guest_os_type": vm.guest_os_type,
                "hypervisor_type": vm.cluster.hypervisor_type,
                "cpu_num": vm.cpu_num,
                "memory_size": vm.memory_size,
                "allocator_strategy": vm.allocator_strategy,
                "state": vm.state,
                "origin": Origin.ADOPTED,
                "account_uuid": account_uuid,
            }
            for vm in vms
        ],
        once=("account_uuid",),
    )


def _write_volumes(
    connection: Connection, vms: Sequence[DeclaredVm], account_uuid: str
) -> list[Conflict]:
    volumes = [(vm, volume) for vm in vms for volume in vm.volumes]
    places = [(volume.uuid, volume.path) for _, volume in volumes]
    # Two volumes may have changed places, and a path belongs to one at a time.
    connection.execute(
        update(Volume)
        .where(
            col(Volume.vm_instance_uuid).in_([vm.uuid for vm in vms]),
            tuple_(col(Volume.uuid), col(Volume.install_path)).not_in(places),
        )
        .values(install_path=None)
    )
    conflicts = _taken_paths(connection, vms)
    if conflicts:
        return conflicts
    replace(
        connection,
        Volume,
        [
            {
                "uuid": volume.uuid,
                "name": volume.name,
                "vm_instance_uuid": vm.uuid,
                "primary_storage_uuid": volume.storage.uuid,
                "install_path": volume.path,
                "root_image_uuid": (
                    vm.image.uuid if vm.image and volume.type is VolumeType.ROOT else None
                ),
                "type": volume.type,
                "format": volume.format,
                "size": volume.size,
                "device_id": volume.device_id,
                "status": VolumeStatus.READY,
                "origin": Origin.ADOPTED,
                "backing": [{"path": f.path, "format": f.format} for f in volume.backing] or None,
                "account_uuid": account_uuid,
            }
            for vm, volume in volumes
        ],
        owner="vm_instance_uuid",
        owners=[vm.uuid for vm in vms],
        once=("account_uuid",),
    )
    return []


def _taken_paths(connection: Connection, vms: Sequence[DeclaredVm]) -> list[Conflict]:
    declared = {volume.path: (vm, volume) for vm in vms for volume in vm.volumes}
    rows = connection.execute(
        select_columns(Volume.uuid, Volume.install_path, VmInstance.name)
        .outerjoin(VmInstance, col(VmInstance.uuid) == col(Volume.vm_instance_uuid))
        .where(col(Volume.install_path).in_(declared))
    )
    return [
        Conflict(Kind.VM, declared[path][0].name, f"{path} is a volume of VM '{owner}' already")
        for uuid, path, owner in rows
        if uuid != declared[path][1].uuid
    ]


def _write_cdroms(connection: Connection, vms: Sequence[DeclaredVm]) -> None:
    replace(
        connection,
        VmCdRom,
        [
            {
                "uuid": uuid4().hex,
                "vm_instance_uuid": vm.uuid,
                "device_id": device_id,
                "name": f"vm-{vm.uuid}-cdRom",
                "iso_install_path": iso,
            }
            for vm in vms
            for device_id, iso in enumerate(vm.cdroms)
        ],
        owner="vm_instance_uuid",
        owners=[vm.uuid for vm in vms],
        key=("vm_instance_uuid", "device_id"),
        once=("uuid",),
    )


def _write_tags(connection: Connection, vms: Sequence[DeclaredVm]) -> None:
    replace(
        connection,
        Tag,
        [
            {
                "uuid": uuid4().hex,
                "resource_uuid": vm.uuid,
                "resource_type": "VmInstanceVO",
                "kind": kind,
                "tag": tag,
            }
            for vm in vms
            for kind, tags in ((TagKind.SYSTEM, vm.system_tags), (TagKind.USER, vm.user_tags))
            for tag in tags
        ],
        owner="resource_uuid",
        owners=[vm.uuid for vm in vms],
        key=("resource_uuid", "kind", "tag"),
        once=("uuid", "resource_type"),
    )
