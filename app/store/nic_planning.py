"""The NICs of one clone: MACs and addresses, asked for by name or picked, taken from the world.

Pure but for the dice, as planning.py.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from app.domain import addressing
from app.domain.errors import AddressUnavailable, NoMacAvailable
from app.domain.nic_params import NicWish
from app.domain.plan import NicPlan
from app.domain.spec import CloneSpec
from app.store.networks import Free, L3View
from app.store.sources import SourceVm
from app.store.world import World


@dataclass(frozen=True, slots=True)
class Taken:
    """One address of a NIC, with what is known of its subnet."""

    free: Free
    was_asked: bool  # the request named it
    netmask: str | None
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Address:
    nic: NicPlan
    taken: tuple[Taken, ...]  # IPv4 first; none on a network that gives out none
    asked_mac: str | None


class NicPlanner:
    """Of the items of one job within one batch."""

    def __init__(self, spec: CloneSpec, source: SourceVm, world: World) -> None:
        self.wishes = _wishes(spec, source)
        self._spec = spec
        self._source = source
        self._world = world

    def take(
        self,
        nic_uuids: Sequence[str],
        ordinal: int,
        mac_of: Iterator[str],
        internal_id: int,
    ) -> list[Address]:
        """All NICs of the job's name of that number, or none. Raises AddressUnavailable,
        NoMacAvailable."""
        addresses: list[Address] = []
        try:
            for device_id, (wish, uuid) in enumerate(zip(self.wishes, nic_uuids, strict=True)):
                nth = _nth(wish, ordinal)
                network = self._world.l3_networks[wish.l3_network_uuid]
                asked_mac = self._asked_mac(nth)
                if asked_mac is not None:
                    self._world.macs.discard(asked_mac)
                addresses.append(Address(self._bare(nth, device_id, uuid, network), (), asked_mac))
                mac = asked_mac or next(mac_of)[:-2] + f"{device_id & 0xFF:02x}"
                for taken in self._pick(network, nth):
                    had = addresses[-1]
                    addresses[-1] = replace(had, taken=(*had.taken, taken))
                addresses[-1] = _whole(addresses[-1], mac, internal_id)
        except (AddressUnavailable, NoMacAvailable):
            self.give_back(addresses)
            raise
        return addresses

    def give_back(self, addresses: Sequence[Address]) -> None:
        for address in addresses:
            network = self._world.l3_networks[address.nic.l3_network_uuid]
            for taken in address.taken:
                network.give_back(taken.free, was_asked=taken.was_asked)
            if address.asked_mac is not None:
                self._world.macs.add(address.asked_mac)

    def _asked_mac(self, wish: NicWish) -> str | None:
        """The NIC's own, else the first of those asked for on its network that is free."""
        free: Set[str] = self._world.macs
        asked = [mac for l3, mac in self._spec.custom_macs if l3 == wish.l3_network_uuid]
        if wish.mac is not None:
            asked = [wish.mac]
        found = next((mac for mac in asked if mac in free), None)
        if asked and found is None:
            raise NoMacAvailable(
                f"the MAC address {asked[-1]} is in use by another NIC; name a free one, or leave "
                "it out"
            )
        return found

    def _pick(self, network: L3View, wish: NicWish) -> Iterator[Taken]:
        """One address of each family that the network has, and those that are named."""
        static = [ip for l3, ip in self._spec.static_ips if l3 == network.uuid]
        own = {4: wish.ip, 6: wish.ip6}
        subnet = self._spec.subnet(network.uuid)
        said = {
            4: (wish.netmask or subnet.netmask, wish.gateway or subnet.gateway),
            6: (_netmask6(wish.prefix6 or subnet.prefix6), wish.gateway6 or subnet.gateway6),
        }
        for version in (4, 6):
            asked = [ip for ip in static if addressing.split_ip(ip)[0] == version]
            named = own[version] or next(filter(network.has, asked), asked[-1] if asked else None)
            if named is None and version not in network.versions:
                continue
            free = network.pick(version) if named is None else network.take(named)
            netmask, gateway = said[version]
            yield Taken(free, named is not None, free.netmask or netmask, free.gateway or gateway)

    def _bare(self, wish: NicWish, device_id: int, uuid: str, network: L3View) -> NicPlan:
        """Without what is its alone on the host."""
        model = wish.driver_type or ("virtio" if self._spec.machine.virtio else None)
        return NicPlan(
            uuid=uuid,
            device_id=device_id,
            mac="",
            internal_name="",
            l3_network_uuid=network.uuid,
            bridge=network.bridge,
            driver_type=model or self._former_driver(device_id),
            ip=None,
            netmask=None,
            gateway=None,
            libvirt_network=network.libvirt_network,
            dns=network.dns,
            model=model,
            link_up=wish.link_up,
            inbound=wish.inbound,
            outbound=wish.outbound,
            is_default=wish.is_default,
            queues=wish.queues,
            meta_data=wish.meta_data,
        )

    def _former_driver(self, slot: int) -> str:
        nics = self._source.nics
        return nics[slot].driver_type if slot < len(nics) else "virtio"


def _whole(address: Address, mac: str, internal_id: int) -> Address:
    nic = replace(
        address.nic,
        mac=mac,
        internal_name=addressing.tap_name(internal_id, address.nic.device_id),
    )
    for taken in address.taken:
        if taken.free.version == 4:
            nic = replace(nic, ip=taken.free.ip, netmask=taken.netmask, gateway=taken.gateway)
        else:
            prefix = addressing.prefix_of(taken.netmask) if taken.netmask else None
            nic = replace(nic, ip6=taken.free.ip, prefix6=prefix, gateway6=taken.gateway)
    return replace(address, nic=nic)


def _nth(wish: NicWish, ordinal: int) -> NicWish:
    """What it asks for the job's name of that number. Raises AddressUnavailable and
    NoMacAvailable where the first one's successors run out."""
    if not (wish.mac or wish.ip or wish.ip6):
        return wish
    return replace(
        wish,
        mac=_following(wish.mac, ordinal),
        ip=_counted(wish.ip, ordinal),
        ip6=_counted(wish.ip6, ordinal),
    )


def _following(first: str | None, ordinal: int) -> str | None:
    mac = None if first is None else addressing.nth_mac(first, ordinal)
    if first is not None and mac is None:
        raise NoMacAvailable(f"there is no MAC address {ordinal} after {first}")
    return mac


def _counted(first: str | None, ordinal: int) -> str | None:
    ip = None if first is None else addressing.nth_ip(first, ordinal)
    if first is not None and ip is None:
        raise AddressUnavailable(f"there is no IP address {ordinal} after {first}")
    return ip


def _netmask6(prefix: int | None) -> str | None:
    return None if prefix is None else addressing.netmask_of(prefix)


def _wishes(spec: CloneSpec, source: SourceVm) -> tuple[NicWish, ...]:
    """Those that were asked for, else as the source has them."""
    if spec.nics:
        return spec.nics
    networks = [nic.l3_network_uuid for nic in source.nics]
    default = source.default_l3_network_uuid
    first = networks.index(default) if default in networks else 0
    return tuple(
        NicWish(network, is_default=number == first) for number, network in enumerate(networks)
    )
