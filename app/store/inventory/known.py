"""The inventory as the database has it, for a document that refers to what is already there."""

from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import Connection, select
from sqlmodel import col

from app.domain.addressing import AddressRange
from app.store import models
from app.store.inventory.catalogue import known_images, known_offerings
from app.store.inventory.values import (
    Cluster,
    DiskOffering,
    Host,
    Inventory,
    Network,
    Storage,
    Zone,
)
from app.store.lookups import range_of
from app.store.sql import select_columns


@dataclass(slots=True)
class Known:
    """`inventory.vms` is empty: of adopted VMs only the uuids by name are needed."""

    inventory: Inventory = field(default_factory=Inventory)
    vm_uuids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AdoptedVm:
    """What a host cannot say of a VM, and what it said once."""

    uuid: str
    name: str
    host_uuid: str | None  # where its volumes are
    description: str | None
    platform: str
    guest_os_type: str | None
    allocator_strategy: str | None
    system_tags: tuple[str, ...]
    user_tags: tuple[str, ...]
    addresses: dict[str, int]  # by MAC
    image: str | None = None  # by name, as the next
    instance_offering: str | None = None


def load(connection: Connection) -> Known:
    zones = {
        row.uuid: Zone(row.uuid, row.name, row.description)
        for row in connection.execute(select(models.Zone).order_by(col(models.Zone.name)))
    }
    clusters = {
        row.uuid: Cluster(
            row.uuid, row.name, row.description, zones[row.zone_uuid], row.hypervisor_type
        )
        for row in connection.execute(select(models.Cluster).order_by(col(models.Cluster.name)))
    }
    hosts = {
        row.uuid: Host(
            uuid=row.uuid,
            name=row.name,
            description=row.description,
            cluster=clusters[row.cluster_uuid],
            management_ip=row.management_ip,
            libvirt_uri=row.libvirt_uri,
            cpu_num=row.cpu_num,
            memory_size=row.memory_size,
            slots=row.slots,
        )
        for row in connection.execute(select(models.Host).order_by(col(models.Host.name)))
    }
    inventory = Inventory(
        zones={zone.name: zone for zone in zones.values()},
        clusters={cluster.name: cluster for cluster in clusters.values()},
        hosts={host.name: host for host in hosts.values()},
        storages=_storages(connection, clusters, hosts),
        networks=_networks(connection, zones, clusters),
        images=known_images(connection),
        offerings=known_offerings(connection),
        disk_offerings={
            row.name: DiskOffering(row.uuid, row.name, row.description, row.disk_size)
            for row in connection.execute(
                select(models.DiskOffering).order_by(col(models.DiskOffering.name))
            )
        },
    )
    return Known(inventory, _adopted_vms(connection))


def _storages(
    connection: Connection, clusters: dict[str, Cluster], hosts: dict[str, Host]
) -> dict[str, Storage]:
    attached: dict[str, list[Cluster]] = defaultdict(list)
    for row in connection.execute(select(models.ClusterPrimaryStorage)):
        attached[row.primary_storage_uuid].append(clusters[row.cluster_uuid])
    return {
        row.name: Storage(
            uuid=row.uuid,
            name=row.name,
            description=row.description,
            type=row.type,
            url=row.url,
            clusters=tuple(attached[row.uuid]),
            host=hosts[row.host_uuid] if row.host_uuid else None,
            declared_bytes=row.declared_bytes,
        )
        for row in connection.execute(
            select(models.PrimaryStorage).order_by(col(models.PrimaryStorage.name))
        )
    }


def _networks(
    connection: Connection, zones: dict[str, Zone], clusters: dict[str, Cluster]
) -> dict[str, Network]:
    attached: dict[str, list[Cluster]] = defaultdict(list)
    for link in connection.execute(select(models.ClusterL3Network)):
        attached[link.l3_network_uuid].append(clusters[link.cluster_uuid])
    ranges: dict[str, list[AddressRange]] = defaultdict(list)
    for row in connection.execute(
        select(models.IpRange).order_by(
            col(models.IpRange.ip_version),
            col(models.IpRange.start_ip_in_long),
            col(models.IpRange.start_ip),
        )
    ):
        ranges[row.l3_network_uuid].append(range_of(row))
    return {
        row.name: Network(
            uuid=row.uuid,
            name=row.name,
            description=row.description,
            zone=zones[row.zone_uuid],
            bridge=row.bridge,
            libvirt_network=row.libvirt_network,
            dns=tuple(row.dns or ()),
            ip_allocator=row.ip_allocator,
            clusters=tuple(attached[row.uuid]),
            ranges=tuple(ranges[row.uuid]),
        )
        for row in connection.execute(select(models.L3Network).order_by(col(models.L3Network.name)))
    }


def _adopted_vms(connection: Connection) -> dict[str, str]:
    rows = connection.execute(
        select(col(models.VmInstance.name), col(models.VmInstance.uuid)).where(
            col(models.VmInstance.origin) == models.Origin.ADOPTED
        )
    )
    return {row.name: row.uuid for row in rows}


def adopted_vms(connection: Connection) -> list[AdoptedVm]:
    vm, nic = col(models.VmInstance.uuid), col(models.VmNic.vm_instance_uuid)
    adopted = col(models.VmInstance.origin) == models.Origin.ADOPTED
    addresses: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(
        select_columns(models.VmNic.vm_instance_uuid, models.VmNic.mac, models.UsedIp.ip_in_long)
        .join(models.UsedIp, col(models.UsedIp.vm_nic_uuid) == col(models.VmNic.uuid))
        .join(models.VmInstance, vm == nic)
        .where(adopted, col(models.UsedIp.ip_version) == 4)
    ):
        addresses[row.vm_instance_uuid][row.mac] = row.ip_in_long
    tags: dict[tuple[str, models.TagKind], list[str]] = defaultdict(list)
    for row in connection.execute(
        select_columns(models.Tag.resource_uuid, models.Tag.kind, models.Tag.tag)
        .join(models.VmInstance, vm == col(models.Tag.resource_uuid))
        .where(adopted)
        .order_by(col(models.Tag.tag))
    ):
        tags[row.resource_uuid, row.kind].append(row.tag)
    images = {image.uuid: image.name for image in known_images(connection).values()}
    offerings = {offer.uuid: offer.name for offer in known_offerings(connection).values()}
    return [
        AdoptedVm(
            uuid=row.uuid,
            name=row.name,
            host_uuid=row.last_host_uuid,
            description=row.description,
            platform=row.platform,
            guest_os_type=row.guest_os_type,
            allocator_strategy=row.allocator_strategy,
            system_tags=tuple(tags[row.uuid, models.TagKind.SYSTEM]),
            user_tags=tuple(tags[row.uuid, models.TagKind.USER]),
            addresses=addresses[row.uuid],
            image=images.get(row.image_uuid),
            instance_offering=offerings.get(row.instance_offering_uuid),
        )
        for row in connection.execute(select(models.VmInstance.__table__).where(adopted))  # type: ignore[attr-defined]
    ]
