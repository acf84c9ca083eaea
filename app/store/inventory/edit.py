"""Operators' single changes: enable, disable, remove."""

from sqlalchemy import Connection, delete, select, text
from sqlmodel import SQLModel, col

from app.domain.errors import InvalidArgument, ResourceNotFound
from app.store import capacity
from app.store.inventory.rows import table_of
from app.store.inventory.values import Kind
from app.store.models import (
    Cluster,
    DiskOffering,
    Host,
    Image,
    InstanceOffering,
    L3Network,
    Origin,
    PrimaryStorage,
    ResourceState,
    Tag,
    VmInstance,
    Volume,
    Zone,
)
from app.store.models.columns import CLOCK

_MODELS: dict[Kind, type[SQLModel]] = {
    Kind.ZONE: Zone,
    Kind.CLUSTER: Cluster,
    Kind.HOST: Host,
    Kind.STORAGE: PrimaryStorage,
    Kind.NETWORK: L3Network,
    Kind.IMAGE: Image,
    Kind.OFFERING: InstanceOffering,
    Kind.DISK_OFFERING: DiskOffering,
    Kind.VM: VmInstance,
}

# What keeps an entry from being removed: a word for it, and its names.
_USES: dict[Kind, tuple[tuple[str, str], ...]] = {
    Kind.ZONE: (
        ("clusters", "SELECT name FROM clusters WHERE zone_uuid = :uuid"),
        ("storages", "SELECT name FROM primary_storages WHERE zone_uuid = :uuid"),
        ("networks", "SELECT name FROM l3_networks WHERE zone_uuid = :uuid"),
    ),
    Kind.CLUSTER: (
        ("hosts", "SELECT name FROM hosts WHERE cluster_uuid = :uuid"),
        (
            "storages",
            "SELECT s.name FROM primary_storages s JOIN cluster_primary_storages a "
            "ON a.primary_storage_uuid = s.uuid WHERE a.cluster_uuid = :uuid",
        ),
        ("VMs", "SELECT name FROM vm_instances WHERE cluster_uuid = :uuid"),
    ),
    Kind.HOST: (
        ("storages", "SELECT name FROM primary_storages WHERE host_uuid = :uuid"),
        ("VMs", "SELECT name FROM vm_instances WHERE :uuid IN (host_uuid, last_host_uuid)"),
        ("base sets", "SELECT uuid FROM base_sets WHERE host_uuid = :uuid"),
        (
            "jobs in the history",
            "SELECT DISTINCT job_uuid FROM items WHERE host_uuid = :uuid",
        ),
    ),
    Kind.STORAGE: (
        ("volumes", "SELECT name FROM volumes WHERE primary_storage_uuid = :uuid"),
        ("bases", "SELECT uuid FROM bases WHERE primary_storage_uuid = :uuid"),
    ),
    Kind.NETWORK: (
        (
            "VMs",
            "SELECT DISTINCT v.name FROM vm_nics n JOIN vm_instances v "
            "ON v.uuid = n.vm_instance_uuid WHERE n.l3_network_uuid = :uuid",
        ),
    ),
    Kind.IMAGE: (
        ("VMs", "SELECT name FROM vm_instances WHERE image_uuid = :uuid"),
        ("volumes", "SELECT name FROM volumes WHERE root_image_uuid = :uuid"),
    ),
    Kind.OFFERING: (("VMs", "SELECT name FROM vm_instances WHERE instance_offering_uuid = :uuid"),),
    Kind.DISK_OFFERING: (("volumes", "SELECT name FROM volumes WHERE disk_offering_uuid = :uuid"),),
    Kind.VM: (
        (
            "unfinished jobs",
            "SELECT uuid FROM jobs WHERE vm_instance_uuid = :uuid AND state <> 'Finished'",
        ),
        ("base sets", "SELECT uuid FROM base_sets WHERE vm_instance_uuid = :uuid"),
    ),
}
_SHOWN = 5


def set_state(connection: Connection, kind: Kind, name: str, state: ResourceState) -> str:
    """The entry's uuid. Disabled ones take no new clones. Raises ResourceNotFound."""
    uuid = _find(connection, kind, name)
    table = table_of(_MODELS[kind])
    connection.execute(
        table.update()
        .where(table.c.uuid == uuid, table.c.state != state)
        .values(state=state, last_op_at=CLOCK)
    )
    return uuid


def remove(connection: Connection, kind: Kind, name: str) -> str:
    """The uuid of the entry that is gone. Files are never touched.

    Raises ResourceNotFound, InvalidArgument naming what uses it.
    """
    uuid = _find(connection, kind, name)
    uses = [
        f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})"
        for what, query in _USES[kind]
        if (names := list(connection.execute(text(query), {"uuid": uuid}).scalars()))
    ]
    if uses:
        raise InvalidArgument(f"{kind} '{name}' is in use by {', '.join(uses)}; remove those first")
    if kind is Kind.VM:
        _remove_belongings(connection, uuid)
    table = table_of(_MODELS[kind])
    connection.execute(delete(table).where(table.c.uuid == uuid))
    return uuid


def _find(connection: Connection, kind: Kind, name: str) -> str:
    """Of VMs only adopted ones belong to the inventory; their names are unique."""
    table = table_of(_MODELS[kind])
    entries = select(table.c.name, table.c.uuid).order_by(table.c.name)
    if kind is Kind.VM:
        entries = entries.where(table.c.origin == Origin.ADOPTED)
    uuids = {row.name: row.uuid for row in connection.execute(entries)}
    if name not in uuids:
        names = ", ".join(uuids) or "none"
        raise ResourceNotFound(f"there is no {kind} '{name}'; declared are: {names}")
    return str(uuids[name])


def _remove_belongings(connection: Connection, vm_uuid: str) -> None:
    """NICs, addresses and drives go with their VM's row."""
    capacity.release(connection, [vm_uuid])
    connection.execute(delete(Tag).where(col(Tag.resource_uuid) == vm_uuid))
    connection.execute(delete(Volume).where(col(Volume.vm_instance_uuid) == vm_uuid))
