"""Reads zones, clusters, hosts, primary storage, L3 networks and disk offerings, each checked
against the rest."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from yaml import Node

from app.domain.addressing import AddressRange, text_of
from app.domain.plan import HypervisorType, StorageType
from app.store.inventory.values import Cluster, DiskOffering, Host, Network, Storage, Zone, cidr
from app.store.models import IpAllocator
from workers.ops.inventory import scalars
from workers.ops.inventory.document import Fields
from workers.ops.inventory.shelves import Shelves, derived_uuid, stays

_ALLOCATORS = {
    "Random": IpAllocator.RANDOM,
    "FirstAvailable": IpAllocator.FIRST_AVAILABLE,
}


def read_zone(fields: Fields, shelves: Shelves) -> Zone | None:
    uuid, name = shelves.zones.identity(fields, shelves.claims)
    return Zone(uuid, name, fields.optional("description", scalars.text, None))


def read_cluster(fields: Fields, shelves: Shelves) -> Cluster | None:
    uuid, name = shelves.clusters.identity(fields, shelves.claims)
    zone = shelves.zones.required(fields, "zone")
    hypervisor = fields.required(
        "hypervisorType", scalars.choice(HypervisorType), HypervisorType.SIMULATOR
    )
    description = fields.optional("description", scalars.text, None)
    if zone is None or fields.broken:
        return None
    if before := shelves.clusters.before(uuid):
        stays(fields, "zone", "its zone", before.zone.name, zone.name)
        stays(fields, "hypervisorType", "its type", before.hypervisor_type, hypervisor)
    return Cluster(uuid, name, description, zone, hypervisor)


def read_host(fields: Fields, shelves: Shelves) -> Host | None:
    uuid, name = shelves.hosts.identity(fields, shelves.claims)
    cluster = shelves.clusters.required(fields, "cluster")
    description = fields.optional("description", scalars.text, None)
    management_ip = fields.required("managementIp", scalars.ip, "")
    libvirt_uri = fields.optional("libvirtUri", scalars.libvirt_uri, None)
    cpu_num = fields.required("cpuNum", scalars.count, 1)
    memory_size = fields.required("memorySize", scalars.size, 1)
    slots = fields.optional("slots", scalars.count, None)
    if cluster is None or fields.broken:
        return None
    if cluster.hypervisor_type is HypervisorType.KVM:
        libvirt_uri = libvirt_uri or "qemu:///system"
    elif libvirt_uri:
        fields.problem(fields.place_of("libvirtUri"), "only a host of a KVM cluster has one")
    if before := shelves.hosts.before(uuid):
        stays(fields, "cluster", "its cluster", before.cluster.name, cluster.name)
    return Host(
        uuid=uuid,
        name=name,
        description=description,
        cluster=cluster,
        management_ip=management_ip,
        libvirt_uri=libvirt_uri,
        cpu_num=cpu_num,
        memory_size=memory_size,
        slots=slots,
    )


def read_storage(fields: Fields, shelves: Shelves) -> Storage | None:
    uuid, name = shelves.storages.identity(fields, shelves.claims)
    description = fields.optional("description", scalars.text, None)
    kind = fields.required("type", scalars.choice(StorageType), StorageType.SIMULATOR)
    simulated = kind is StorageType.SIMULATOR
    url = (
        fields.optional("url", scalars.absolute_path, f"/simulated/{uuid}")
        if simulated
        else fields.required("url", scalars.absolute_path, "")
    )
    clusters = _clusters_of_storage(fields, shelves, simulated=simulated)
    host = shelves.hosts.optional(fields, "host")
    declared_bytes = fields.optional("capacity", scalars.size, None)
    if not clusters or fields.broken:
        return None
    before = shelves.storages.before(uuid)
    if kind is StorageType.LOCAL:
        host = host or (before and before.host) or _only_host(fields, shelves, clusters)
        if host is None:
            return None
        if [host.cluster.uuid] != [cluster.uuid for cluster in clusters]:
            fields.problem(
                fields.place_of("clusters"),
                f"a LocalStorage is reached from the cluster of its host alone: "
                f"{host.cluster.name}",
            )
    elif host:
        fields.problem(fields.place_of("host"), "only a LocalStorage belongs to a host")
    if not simulated and not fields.broken:
        shelves.claims.claim(
            fields, fields.place_of("url"), "the url", url, host.uuid if host else ""
        )
    storage = Storage(
        uuid=uuid,
        name=name,
        description=description,
        type=kind,
        url=url,
        clusters=tuple(clusters),
        host=host,
        declared_bytes=declared_bytes,
    )
    if before:
        stays(fields, "type", "its type", before.type, storage.type)
        stays(fields, "url", "its url", before.url, storage.url)
        stays(fields, "host", "its host", _name(before.host), _name(storage.host))
    return storage


def _clusters_of_storage(fields: Fields, shelves: Shelves, *, simulated: bool) -> list[Cluster]:
    clusters = shelves.clusters.several(fields, "clusters")
    place = fields.place_of("clusters")
    if not clusters and not fields.broken:
        fields.problem(place, "`clusters` must name at least one cluster")
    if len({cluster.zone.uuid for cluster in clusters}) > 1:
        fields.problem(place, "its clusters must all be in one zone")
    if simulated and any(c.hypervisor_type is HypervisorType.KVM for c in clusters):
        fields.problem(place, "a KVM cluster cannot use a storage of type Simulator")
    return clusters


def _only_host(fields: Fields, shelves: Shelves, clusters: Sequence[Cluster]) -> Host | None:
    uuids = {cluster.uuid for cluster in clusters}
    hosts = [host for host in shelves.hosts.everything() if host.cluster.uuid in uuids]
    if shelves.hosts.incomplete:
        fields.broken = True
        return None
    if len(hosts) == 1:
        return hosts[0]
    names = ", ".join(host.name for host in hosts) or "none"
    fields.problem(
        fields.place_of("host"), f"`host` must say whose folder it is; its clusters' hosts: {names}"
    )
    return None


def _name(host: Host | None) -> str:
    return host.name if host else "none"


def read_network(fields: Fields, shelves: Shelves) -> Network | None:
    uuid, name = shelves.networks.identity(fields, shelves.claims)
    zone = shelves.zones.required(fields, "zone")
    description = fields.optional("description", scalars.text, None)
    bridge = fields.optional("bridge", scalars.name, None)
    libvirt_network = fields.optional("libvirtNetwork", scalars.name, None)
    if bridge and libvirt_network:
        fields.problem(
            fields.place_of("libvirtNetwork"), "a network is a `bridge` or a `libvirtNetwork`"
        )
    dns = tuple(address for _, address in fields.texts("dns", scalars.ip))
    allocator = _ALLOCATORS[fields.optional("ipAllocator", scalars.one_of(_ALLOCATORS), "Random")]
    named = fields.node_of("clusters") is not None
    clusters = shelves.clusters.several(fields, "clusters")
    ranges = _read_ranges(fields, uuid)
    if zone is None or fields.broken:
        return None
    if before := shelves.networks.before(uuid):
        stays(fields, "zone", "its zone", before.zone.name, zone.name)
    for cluster in clusters:
        if cluster.zone.uuid != zone.uuid:
            fields.problem(
                fields.place_of("clusters"),
                f"cluster '{cluster.name}' is in zone '{cluster.zone.name}', not in '{zone.name}'",
            )
    if not named:
        clusters = [c for c in shelves.clusters.everything() if c.zone.uuid == zone.uuid]
    return Network(
        uuid=uuid,
        name=name,
        description=description,
        zone=zone,
        bridge=bridge,
        libvirt_network=libvirt_network,
        dns=dns,
        ip_allocator=allocator,
        clusters=tuple(clusters),
        ranges=tuple(ranges),
    )


def _read_ranges(fields: Fields, network_uuid: str) -> list[AddressRange]:
    ranges: list[AddressRange] = []
    for node in fields.items("ipRanges"):
        entry = Fields(node, fields.what, fields.problems)
        found = _read_range(entry, network_uuid)
        entry.finish()
        fields.broken |= entry.broken
        if entry.broken:
            continue
        for other in ranges:
            if found.version != other.version:
                continue
            if found.start <= other.end and other.start <= found.end:
                fields.problem(node, f"the range {_span(found)} overlaps {_span(other)}")
        ranges.append(found)
    return ranges


def _read_range(fields: Fields, network_uuid: str) -> AddressRange:
    """Meaningless where `fields` is broken afterwards."""
    version, start = fields.required("startIp", scalars.address, (4, 0))
    end_version, end = fields.required("endIp", scalars.address, (version, start))
    of_gateway = fields.optional("gateway", scalars.address, None)
    if version == 4:
        netmask = fields.required("netmask", scalars.netmask, "")
    else:
        netmask = fields.required("prefixLen", scalars.prefix_length, "")
    found = AddressRange(
        uuid=derived_uuid("ipRange", network_uuid, text_of(version, start)),
        start=start,
        end=end,
        netmask=netmask,
        gateway=None if of_gateway is None else text_of(*of_gateway),
        version=version,
    )
    if fields.broken:
        return found
    if {version, end_version, (of_gateway or (version, 0))[0]} != {version}:
        fields.problem(fields.node, "its addresses must all be of IPv4 or all of IPv6")
        return found
    if start > end:
        fields.problem(
            fields.place_of("endIp"),
            f"the end {found.last_ip} is below the start {found.first_ip}",
        )
    addresses = {"startIp": start, "endIp": end}
    if of_gateway is not None:
        addresses["gateway"] = of_gateway[1]
    for key, address in addresses.items():
        _check_inside(fields, fields.place_of(key), key, found, address)
    return found


def _check_inside(
    fields: Fields, node: Node, key: str, address_range: AddressRange, number: int
) -> None:
    network = ip_network(cidr(address_range))
    address = ip_address(text_of(address_range.version, number))
    if address not in network:
        fields.problem(node, f"`{key}` {address} is outside the subnet {network}")
    elif network.version == 6:
        # Its first address is every router's. Source: RFC 4291, section 2.6.1.
        if network.prefixlen < 127 and address == network.network_address:
            fields.problem(node, f"`{key}` {address} is the first address of {network}")
    elif network.prefixlen < 31 and address in (
        network.network_address,
        network.broadcast_address,
    ):
        fields.problem(node, f"`{key}` {address} is the first or last address of {network}")


def _span(address_range: AddressRange) -> str:
    return f"{address_range.first_ip}-{address_range.last_ip}"


def read_disk_offering(fields: Fields, shelves: Shelves) -> DiskOffering | None:
    uuid, name = shelves.disk_offerings.identity(fields, shelves.claims)
    description = fields.optional("description", scalars.text, None)
    disk_size = fields.required("diskSize", scalars.size, 1)
    return None if fields.broken else DiskOffering(uuid, name, description, disk_size)
