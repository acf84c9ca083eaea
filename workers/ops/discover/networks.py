"""L3 networks from the host's bridges and libvirt networks, one for each wire.

Two L3 networks on one bridge would give the same addresses twice: a bridge that a libvirt network
has is that network.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lxml.etree import _Element

from app.domain.addressing import AddressRange, to_number, to_text
from app.store.inventory.values import Cluster, Kind, Network
from app.store.models import IpAllocator
from workers.hypervisors.kvm.host_view import HostView, NetworkView
from workers.hypervisors.kvm.source_domain import SourceNic
from workers.ops.discover.ranges import free_spans
from workers.ops.inventory.shelves import derived_uuid

_ROUTED = frozenset({"nat", "route", "open"})  # their guests leave by libvirt's own address
_OF_HOST_BRIDGE = "bridge"


@dataclass(frozen=True, slots=True)
class Wire:
    """What NICs are plugged into. Without a subnet nobody can tell which addresses it has."""

    bridge: str | None
    libvirt_network: str | None
    subnet: IPv4Network | None
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    taken: frozenset[int] = frozenset()  # addresses that others have
    given: tuple[tuple[str, str], ...] = ()  # MAC and address that DHCP gives or gave, in order
    governed: bool = False  # by libvirt, which alone gives addresses there
    active: bool = True

    @property
    def name(self) -> str:
        return self.libvirt_network or self.bridge or ""

    def is_of(self, network: Network) -> bool:
        if network.libvirt_network:
            return network.libvirt_network == self.libvirt_network
        return network.bridge is not None and network.bridge == self.bridge

    @property
    def called(self) -> str:
        kind = "libvirt network" if self.libvirt_network else "bridge"
        return f"{kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Wires:
    by_network: Mapping[str, Wire]  # by the libvirt network's name
    by_bridge: Mapping[str, Wire]

    def of(self, nic: SourceNic) -> Wire | None:
        """None for a NIC that is plugged into neither."""
        if nic.type == "network":
            return self.by_network.get(nic.source or "")
        return self.by_bridge.get(nic.source or "") if nic.type == "bridge" else None

    def all(self) -> list[Wire]:
        found = [*self.by_network.values(), *self.by_bridge.values()]
        return sorted({wire.name: wire for wire in reversed(found)}.values(), key=lambda w: w.name)


def wires_of(host: HostView) -> Wires:
    """Of all libvirt networks, and of the bridges that some domain is plugged into."""
    by_network = {network.name: _wire_of(network, host) for network in host.networks}
    by_bridge: dict[str, Wire] = {}
    for wire in by_network.values():
        if wire.bridge and wire.subnet:
            by_bridge.setdefault(wire.bridge, wire)
    # Networks that share a host's bridge are one wire.
    by_network = {
        name: by_bridge.get(wire.bridge or "", wire) if wire.subnet else wire
        for name, wire in by_network.items()
    }
    for domain in host.domains:
        for nic in domain.source.nics:
            if nic.type == "bridge" and nic.source:
                by_bridge.setdefault(nic.source, _host_bridge(nic.source, None, host))
    return Wires(by_network, by_bridge)


def _wire_of(network: NetworkView, host: HostView) -> Wire:
    xml = network.xml
    bridge, forward = xml.find("bridge"), xml.find("forward")
    mode = "" if forward is None else forward.get("mode", "nat")
    name = None if bridge is None else bridge.get("name")
    if mode == _OF_HOST_BRIDGE:
        tagged = xml.find("vlan") is not None or xml.find("virtualport") is not None
        # Tagged, it is another wire than the bridge, whose addresses are not its own.
        return (
            Wire(None, network.name, None)
            if tagged or not name
            else _host_bridge(name, network, host)
        )
    own = _own_address(xml)
    if own is None:
        return Wire(name, network.name, None)
    address = str(own.ip)
    given = [
        (entry.get("mac", "").lower(), entry.get("ip", ""))
        for entry in xml.iterfind("ip/dhcp/host[@ip]")
        if ":" not in entry.get("ip", "")
    ]
    given += [(mac, ip) for mac, leased in network.leases.items() for ip in leased]
    dns = xml.find("dns")
    return Wire(
        bridge=name,
        libvirt_network=network.name,
        subnet=own.network,
        gateway=address if mode in _ROUTED else None,
        dns=() if dns is not None and dns.get("enable") == "no" else (address,),
        taken=frozenset(_numbers([address, *(ip for _, ip in given), *_on(host, own.network)])),
        given=tuple(given),
        governed=True,
        active=network.active,
    )


def _own_address(network: _Element) -> IPv4Interface | None:
    """That of the subnet with DHCP, else the first."""
    found = [ip for ip in network.findall("ip") if ip.get("family", "ipv4") == "ipv4"]
    found.sort(key=lambda ip: ip.find("dhcp") is None)
    for ip in found:
        mask = ip.get("prefix") or ip.get("netmask")
        if ip.get("address") and mask:
            return IPv4Interface(f"{ip.get('address')}/{mask}")
    return None


def _host_bridge(bridge: str, network: NetworkView | None, host: HostView) -> Wire:
    libvirt_network = network.name if network else None
    own = next((a for a in host.addresses if a.device == bridge), None)
    if own is None:
        return Wire(bridge, libvirt_network, None)
    subnet = IPv4Interface(f"{own.ip}/{own.prefix}").network
    gateway = host.gateways.get(bridge)
    if gateway is not None and IPv4Address(gateway) not in subnet:
        gateway = None
    return Wire(
        bridge=bridge,
        libvirt_network=libvirt_network,
        subnet=subnet,
        gateway=gateway,
        dns=host.nameservers,
        active=network is None or network.active,
        taken=frozenset(_numbers([*_on(host, subnet), *([gateway] if gateway else [])])),
    )


def _on(host: HostView, subnet: IPv4Network) -> Iterator[str]:
    return (a.ip for a in host.addresses if IPv4Address(a.ip) in subnet)


def _numbers(addresses: Sequence[str]) -> Iterator[int]:
    return (to_number(address) for address in addresses if address)


def network_of(
    wire: Wire, guests: frozenset[int], cluster: Cluster, host_name: str, known: Sequence[Network]
) -> Network | None:
    """As the inventory has it, else with all addresses that neither `guests` nor others have; None
    where nobody can tell its addresses."""
    for network in known:
        reached = cluster.uuid in {attached.uuid for attached in network.clusters}
        if reached and wire.is_of(network):
            return network
    if wire.subnet is None:
        return None
    name = f"{host_name}-{wire.name}"
    uuid = derived_uuid(Kind.NETWORK, name)
    return Network(
        uuid=uuid,
        name=name,
        description=None,
        zone=cluster.zone,
        bridge=None if wire.libvirt_network else wire.bridge,
        libvirt_network=wire.libvirt_network,
        dns=wire.dns,
        ip_allocator=IpAllocator.RANDOM,
        clusters=(cluster,),
        ranges=tuple(
            AddressRange(
                uuid=derived_uuid("ipRange", uuid, to_text(start)),
                start=start,
                end=end,
                netmask=str(wire.subnet.netmask),
                gateway=wire.gateway,
            )
            for start, end in free_spans(wire.subnet, wire.taken | guests)
        ),
    )
