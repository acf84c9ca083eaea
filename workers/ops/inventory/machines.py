"""Reads VM instances: their place, NICs and drives, each checked against the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from yaml import Node

from app.domain.addressing import to_number, to_text
from app.domain.placement import ALLOCATOR_STRATEGIES
from app.store.inventory.values import (
    Cluster,
    DeclaredNic,
    DeclaredVm,
    Host,
    Network,
    subnet,
)
from app.store.models import VmState
from workers.ops.inventory import scalars
from workers.ops.inventory.document import Fields
from workers.ops.inventory.shelves import Shelves, derived_uuid
from workers.ops.inventory.volumes import Place, read_volumes

PLATFORMS = ("Linux", "Windows", "Paravirtualization", "WindowsVirtio", "Other")


class _AdoptedState(StrEnum):
    """What an adopted VM may be."""

    STOPPED = VmState.STOPPED
    RUNNING = VmState.RUNNING


def read_vm(fields: Fields, shelves: Shelves) -> DeclaredVm | None:
    uuid, name = shelves.vms.identity(fields, shelves.claims)
    cluster = shelves.clusters.required(fields, "cluster")
    host = _host(fields, shelves, cluster)
    plain = _PlainFields.read(fields)
    place = Place(uuid, name, cluster, host) if cluster and host else None
    volumes = read_volumes(fields, shelves, uuid, place)
    nics = _read_nics(fields, shelves, uuid, place)
    default_network = _default_network(fields, shelves, nics)
    image = shelves.images.optional(fields, "image")
    offering = shelves.offerings.optional(fields, "instanceOffering")
    cdroms = _read_cdroms(fields)
    if place is None or fields.broken:
        return None
    return DeclaredVm(
        uuid=uuid,
        name=name,
        description=plain.description,
        cluster=place.cluster,
        host=place.host,
        state=VmState(plain.state),
        cpu_num=plain.cpu_num,
        memory_size=plain.memory_size,
        platform=plain.platform,
        architecture=plain.architecture,
        guest_os_type=plain.guest_os_type,
        allocator_strategy=plain.allocator_strategy,
        default_network=default_network,
        volumes=tuple(volumes),
        nics=tuple(nics),
        cdroms=tuple(cdroms),
        system_tags=plain.system_tags,
        user_tags=plain.user_tags,
        image=image,
        offering=offering,
    )


@dataclass(frozen=True, slots=True)
class _PlainFields:
    """What refers to nothing."""

    description: str | None
    state: _AdoptedState
    cpu_num: int
    memory_size: int
    platform: str
    architecture: str
    guest_os_type: str | None
    allocator_strategy: str | None
    system_tags: tuple[str, ...]
    user_tags: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> "_PlainFields":
        return cls(
            description=fields.optional("description", scalars.text, None),
            state=fields.optional("state", scalars.choice(_AdoptedState), _AdoptedState.STOPPED),
            cpu_num=fields.required("cpuNum", scalars.count, 1),
            memory_size=fields.required("memorySize", scalars.size, 1),
            platform=fields.optional("platform", scalars.one_of(PLATFORMS), "Linux"),
            architecture=fields.optional("architecture", scalars.name, "x86_64"),
            guest_os_type=fields.optional("guestOsType", scalars.name, None),
            allocator_strategy=fields.optional(
                "allocatorStrategy", scalars.one_of(ALLOCATOR_STRATEGIES), None
            ),
            system_tags=_tags(fields, "systemTags"),
            user_tags=_tags(fields, "userTags"),
        )


def _tags(fields: Fields, key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tag for _, tag in fields.texts(key, scalars.text)))


def _host(fields: Fields, shelves: Shelves, cluster: Cluster | None) -> Host | None:
    """The one that is named, else the only one of the cluster: it reads the VM's volumes."""
    host = shelves.hosts.optional(fields, "host")
    if cluster is None:
        return None
    members = [h for h in shelves.hosts.everything() if h.cluster.uuid == cluster.uuid]
    names = ", ".join(member.name for member in members) or "none"
    if host and host.cluster.uuid != cluster.uuid:
        fields.problem(
            fields.place_of("host"),
            f"host '{host.name}' is not in cluster '{cluster.name}'; its hosts are: {names}",
        )
        return None
    if host or fields.node_of("host"):
        return host
    if shelves.hosts.incomplete:
        return None
    if len(members) != 1:
        fields.problem(
            fields.place_of("host"),
            f"`host` must say which host has its volumes; those of cluster '{cluster.name}': "
            f"{names}",
        )
        return None
    return members[0]


def _read_nics(
    fields: Fields, shelves: Shelves, vm_uuid: str, place: Place | None
) -> list[DeclaredNic]:
    nics: list[DeclaredNic] = []
    for device_id, node in enumerate(fields.items("nics")):
        entry = Fields(node, fields.what, fields.problems)
        nic = _read_nic(entry, shelves, vm_uuid, device_id)
        if nic and place and place.cluster.uuid not in {c.uuid for c in nic.network.clusters}:
            entry.problem(
                entry.place_of("l3Network"),
                f"network '{nic.network.name}' is not attached to cluster '{place.cluster.name}'",
            )
        entry.finish()
        fields.broken |= entry.broken
        if nic:
            nics.append(nic)
    return nics


def _read_nic(entry: Fields, shelves: Shelves, vm_uuid: str, device_id: int) -> DeclaredNic | None:
    uuid = entry.optional("uuid", scalars.uuid, derived_uuid("nic", vm_uuid, str(device_id)))
    network = shelves.networks.required(entry, "l3Network")
    ip = entry.optional("ip", scalars.ipv4, None)
    mac = entry.optional("mac", scalars.mac, None)
    driver_type = entry.optional("driverType", scalars.name, "virtio")
    if entry.broken or network is None:
        return None
    if entry.node_of("uuid"):
        shelves.claims.claim(entry, entry.place_of("uuid"), "the uuid", uuid)
    if mac:
        shelves.claims.claim(entry, entry.place_of("mac"), "the MAC", mac)
    if ip is not None:
        _check_address(entry, network, ip)
        shelves.claims.claim(entry, entry.place_of("ip"), "the address", network.uuid, str(ip))
    elif not network.ranges4:
        entry.problem(
            entry.place_of("l3Network"),
            f"network '{network.name}' has no ipRanges to take an address from; `ip` declares one",
        )
    return DeclaredNic(uuid, device_id, network, ip, mac, driver_type)


def _check_address(entry: Fields, network: Network, ip: int) -> None:
    node = entry.place_of("ip")
    subnets = list(dict.fromkeys(subnet(address_range) for address_range in network.ranges4))
    if not any(IPv4Address(ip) in known for known in subnets):
        valid = ", ".join(map(str, subnets)) or "none"
        entry.problem(
            node, f"{to_text(ip)} is in no subnet of network '{network.name}', which has: {valid}"
        )
    if ip in {to_number(r.gateway) for r in network.ranges4 if r.gateway}:
        entry.problem(node, f"{to_text(ip)} is the gateway of network '{network.name}'")


def _default_network(
    fields: Fields, shelves: Shelves, nics: Sequence[DeclaredNic]
) -> Network | None:
    """The one that is named, else that of the first NIC."""
    network = shelves.networks.optional(fields, "defaultL3Network")
    if network and not fields.broken and network.uuid not in {nic.network.uuid for nic in nics}:
        names = ", ".join(nic.network.name for nic in nics) or "none"
        fields.problem(
            fields.place_of("defaultL3Network"),
            f"network '{network.name}' has no NIC of this VM; its NICs are on: {names}",
        )
    return network or (nics[0].network if nics else None)


def _read_cdroms(fields: Fields) -> list[str | None]:
    return [_read_cdrom(fields, node) for node in fields.items("cdroms")]


def _read_cdrom(fields: Fields, node: Node) -> str | None:
    entry = Fields(node, fields.what, fields.problems)
    path = entry.optional("iso", scalars.absolute_path, None)
    entry.finish()
    fields.broken |= entry.broken
    return path
