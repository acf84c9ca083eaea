"""Writes zones, clusters, hosts, primary storage, L3 networks and disk offerings.

States are not written, so that an operator's Disabled outlives the next apply.
"""

from sqlalchemy import Connection, delete, select, text
from sqlmodel import col

from app.store import capacity
from app.store.inventory.rows import replace, upsert
from app.store.inventory.values import Inventory, Network, Storage, cidr
from app.store.models import (
    Cluster,
    ClusterL3Network,
    ClusterPrimaryStorage,
    DiskOffering,
    Host,
    IpRange,
    L3Network,
    PrimaryStorage,
    StorageCapacity,
    Zone,
)


def write_zones_and_clusters(connection: Connection, inventory: Inventory) -> None:
    upsert(
        connection,
        Zone,
        [
            {"uuid": zone.uuid, "name": zone.name, "description": zone.description}
            for zone in inventory.zones.values()
        ],
    )
    upsert(
        connection,
        Cluster,
        [
            {
                "uuid": cluster.uuid,
                "name": cluster.name,
                "description": cluster.description,
                "zone_uuid": cluster.zone.uuid,
                "hypervisor_type": cluster.hypervisor_type,
            }
            for cluster in inventory.clusters.values()
        ],
    )


def write_hosts(connection: Connection, inventory: Inventory) -> None:
    upsert(
        connection,
        Host,
        [
            {
                "uuid": host.uuid,
                "name": host.name,
                "description": host.description,
                "cluster_uuid": host.cluster.uuid,
                "management_ip": host.management_ip,
                "libvirt_uri": host.libvirt_uri,
                "cpu_num": host.cpu_num,
                "memory_size": host.memory_size,
                "slots": host.slots,
            }
            for host in inventory.hosts.values()
        ],
    )


def write_storages(connection: Connection, inventory: Inventory) -> None:
    storages = list(inventory.storages.values())
    upsert(
        connection,
        PrimaryStorage,
        [
            {
                "uuid": storage.uuid,
                "name": storage.name,
                "description": storage.description,
                "zone_uuid": storage.zone.uuid,
                "type": storage.type,
                "url": storage.url,
                "host_uuid": storage.host.uuid if storage.host else None,
                "declared_bytes": storage.declared_bytes,
            }
            for storage in storages
        ],
    )
    replace(
        connection,
        ClusterPrimaryStorage,
        [
            {"cluster_uuid": cluster.uuid, "primary_storage_uuid": storage.uuid}
            for storage in storages
            for cluster in storage.clusters
        ],
        owner="primary_storage_uuid",
        owners=[storage.uuid for storage in storages],
        key=("cluster_uuid", "primary_storage_uuid"),
    )
    for storage in storages:
        _set_total(connection, storage)


def _set_total(connection: Connection, storage: Storage) -> None:
    """What is declared, else what a worker saw, else nothing until one looks."""
    connection.execute(
        text(
            "INSERT INTO storage_capacities (primary_storage_uuid, total_bytes, available_bytes) "
            "VALUES (:uuid, 0, 0) ON CONFLICT DO NOTHING"
        ),
        {"uuid": storage.uuid},
    )
    seen = connection.scalar(
        select(col(PrimaryStorage.physical_total)).where(col(PrimaryStorage.uuid) == storage.uuid)
    )
    connection.execute(
        select(col(StorageCapacity.total_bytes))
        .where(col(StorageCapacity.primary_storage_uuid) == storage.uuid)
        .with_for_update()
    )
    capacity.set_storage_total(connection, storage.uuid, storage.declared_bytes or seen or 0)


def write_networks(connection: Connection, inventory: Inventory) -> None:
    networks = list(inventory.networks.values())
    upsert(
        connection,
        L3Network,
        [
            {
                "uuid": network.uuid,
                "name": network.name,
                "description": network.description,
                "zone_uuid": network.zone.uuid,
                "bridge": network.bridge,
                "libvirt_network": network.libvirt_network,
                "dns": list(network.dns) or None,
                "ip_allocator": network.ip_allocator,
            }
            for network in networks
        ],
    )
    replace(
        connection,
        ClusterL3Network,
        [
            {"cluster_uuid": cluster.uuid, "l3_network_uuid": network.uuid}
            for network in networks
            for cluster in network.clusters
        ],
        owner="l3_network_uuid",
        owners=[network.uuid for network in networks],
        key=("cluster_uuid", "l3_network_uuid"),
    )
    for network in networks:
        _write_ranges(connection, network)


def _write_ranges(connection: Connection, network: Network) -> None:
    """Exactly the declared ranges are left, and each address in use names the one it lies in."""
    upsert(
        connection,
        IpRange,
        [
            {
                "uuid": r.uuid,
                "name": f"{network.name}-{r.first_ip}",
                "l3_network_uuid": network.uuid,
                "ip_version": r.version,
                "start_ip": r.first_ip,
                "end_ip": r.last_ip,
                # As in ZStack: a number of IPv6 fits into no long.
                "start_ip_in_long": r.start if r.version == 4 else 0,
                "end_ip_in_long": r.end if r.version == 4 else 0,
                "netmask": r.netmask,
                "gateway": r.gateway,
                "network_cidr": cidr(r),
            }
            for r in network.ranges
        ],
    )
    uuids = [r.uuid for r in network.ranges]
    connection.execute(
        text(
            "UPDATE used_ips u SET ip_range_uuid = (SELECT r.uuid FROM ip_ranges r "
            "WHERE r.uuid = ANY(:uuids) AND r.ip_version = 4 "
            "AND u.ip_in_long BETWEEN r.start_ip_in_long AND r.end_ip_in_long) "
            "WHERE u.l3_network_uuid = :network AND u.ip_version = 4"
        ),
        {"network": network.uuid, "uuids": uuids},
    )
    _find_ranges6(connection, network)
    connection.execute(
        delete(IpRange).where(
            col(IpRange.l3_network_uuid) == network.uuid, col(IpRange.uuid).not_in(uuids)
        )
    )


def _find_ranges6(connection: Connection, network: Network) -> None:
    """The same of IPv6, whose order only inet knows."""
    uuids = [r.uuid for r in network.ranges if r.version == 6]
    connection.execute(
        text(
            "UPDATE used_ips u SET ip_range_uuid = (SELECT r.uuid FROM ip_ranges r "
            "WHERE r.uuid = ANY(:uuids) "
            "AND u.ip::inet BETWEEN r.start_ip::inet AND r.end_ip::inet LIMIT 1) "
            "WHERE u.l3_network_uuid = :network AND u.ip_version = 6"
        ),
        {"network": network.uuid, "uuids": uuids},
    )


def write_disk_offerings(connection: Connection, inventory: Inventory) -> None:
    upsert(
        connection,
        DiskOffering,
        [
            {
                "uuid": offering.uuid,
                "name": offering.name,
                "description": offering.description,
                "disk_size": offering.disk_size,
            }
            for offering in inventory.disk_offerings.values()
        ],
    )
