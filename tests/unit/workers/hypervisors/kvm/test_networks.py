"""What DHCP gives a clone's NIC on a libvirt network: set once, and taken back whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lxml import etree

from app.domain.plan import HostRef, HypervisorType, NicPlan

libvirt = pytest.importorskip("libvirt")
subject = pytest.importorskip("workers.hypervisors.kvm.networks")

MAC, IP, OTHERS = "fa:00:00:00:00:01", "10.0.0.5", ("52:54:00:00:00:01", "10.0.0.6")
CONFIG, LIVE = libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG, libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE


class Network:
    """libvirt's, with somebody else's entry: it refuses to add what is there, and to delete what is
    not."""

    def __init__(self, *, active: bool = True, dhcp: bool = True) -> None:
        self.given = {place: [OTHERS] for place in (CONFIG, LIVE)}
        self.active, self.dhcp = active, dhcp

    def isActive(self) -> int:  # noqa: N802 - libvirt's name
        return int(self.active)

    def isPersistent(self) -> int:  # noqa: N802
        return 1

    def XMLDesc(self, flags: int) -> str:  # noqa: N802
        entries = self.given[CONFIG if flags & libvirt.VIR_NETWORK_XML_INACTIVE else LIVE]
        hosts = "".join(f"<host mac='{mac}' ip='{ip}'/>" for mac, ip in entries)
        return f"<network><ip>{f'<dhcp>{hosts}</dhcp>' if self.dhcp else ''}</ip></network>"

    def update(self, command: int, _section: int, _index: int, xml: str, place: int) -> None:
        entry = etree.fromstring(xml)
        pair = (str(entry.get("mac")), str(entry.get("ip")))
        there = pair in self.given[place]
        if there is not (command == DELETE):
            raise libvirt.libvirtError("existing entry, or none")
        if there:
            self.given[place].remove(pair)
        else:
            self.given[place].append(pair)


class Connection:
    def __init__(self, network: Network) -> None:
        self._network = network

    @contextmanager
    def opened(self, _doing: str) -> Iterator[Any]:
        yield self

    def networkLookupByName(self, _name: str) -> Network:  # noqa: N802
        return self._network


def networks(network: Network) -> Any:
    return subject.Networks(HostRef("a" * 32, "h", HypervisorType.KVM), Connection(network))


def nic(ip: str = IP) -> NicPlan:
    return NicPlan(
        uuid="b" * 32,
        device_id=0,
        l3_network_uuid="c" * 32,
        mac=MAC,
        internal_name="vnic1.0",
        bridge=None,
        driver_type="virtio",
        ip=ip,
        netmask=None,
        gateway=None,
        libvirt_network="lan",
    )


class Plan:
    def __init__(self, *nics: NicPlan) -> None:
        self.nics = nics


def prepare(network: Network, ip: str = IP) -> None:
    networks(network).prepare(Plan(nic(ip)))


BOTH = {CONFIG: [OTHERS, (MAC, IP)], LIVE: [OTHERS, (MAC, IP)]}


def test_twice_is_once() -> None:
    network = Network()
    prepare(network)
    prepare(network)
    assert network.given == BOTH


@pytest.mark.parametrize("place", [CONFIG, LIVE])
def test_what_was_done_by_half_is_done_or_taken_back(place: int) -> None:
    half = Network()
    half.given[place].append((MAC, IP))
    prepare(half)
    assert half.given == BOTH
    half.given[place].remove((MAC, IP))
    networks(half).forget([nic()])
    networks(half).forget([nic()])
    assert half.given == {CONFIG: [OTHERS], LIVE: [OTHERS]}


def test_a_former_address_goes() -> None:
    network = Network()
    prepare(network, "10.0.0.9")
    prepare(network)
    assert network.given == BOTH


def test_one_that_was_stopped_forgets_it_too() -> None:
    network = Network()
    prepare(network)
    network.active = False
    networks(network).forget([nic()])
    assert network.given[CONFIG] == [OTHERS]


def test_without_dhcp_there_is_nothing_to_give() -> None:
    network = Network(dhcp=False)
    prepare(network)
    assert network.given == {CONFIG: [OTHERS], LIVE: [OTHERS]}
