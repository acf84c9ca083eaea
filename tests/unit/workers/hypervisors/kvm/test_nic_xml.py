"""A clone's NICs are on its own networks, in the slots of the source's."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.workers.hypervisors.kvm.sources import NIC, clone_of, domain, found
from workers.hypervisors.kvm.clone_parts import NicKind, NicPart

OPENVSWITCH = (
    "<virtualport type='openvswitch'><parameters interfaceid='{}' profileid='p'/></virtualport>"
)


def interface(inner: str = "", head: str = "type='bridge'", source: str = "bridge='br0'") -> str:
    return f"""
        <interface {head}>
          <mac address='52:54:00:00:00:99'/><source {source}/><model type='virtio'/>{inner}
        </interface>"""


def part(**changed: Any) -> NicPart:
    return replace(NIC, **changed)


@pytest.mark.parametrize(
    ("nic", "kind", "source"),
    [
        (part(source="br7"), "bridge", {"bridge": "br7"}),
        (part(kind=NicKind.NETWORK, source="lab"), "network", {"network": "lab"}),
    ],
)
def test_a_nic_is_on_its_own_network(nic: NicPart, kind: str, source: dict[str, str]) -> None:
    clone = clone_of(domain(devices=interface()), nics=(nic,))
    assert found(clone, "devices/interface/@type") == [kind]
    element = clone.find("devices/interface/source")
    assert element is not None
    assert dict(element.items()) == source


def test_nics_take_the_slots_in_order() -> None:
    slots = [f"<address type='pci' slot='0x0{n}'/>" for n in (4, 5)]
    xml = domain(devices="".join(map(interface, slots)))
    nics = tuple(part(mac=f"fa:00:00:00:00:0{n}", tap=f"vnic1.{n}") for n in range(3))
    for number in range(4):
        clone = clone_of(xml, nics=nics[:number])
        count = min(number, 3)
        macs = found(clone, "devices/interface/mac/@address")
        assert macs == [nic.mac for nic in nics[:count]]
        assert found(clone, "devices/interface/target/@dev") == [nic.tap for nic in nics[:count]]
        assert found(clone, "devices/interface/address/@slot") == ["0x04", "0x05"][:number]


def test_a_nic_that_the_source_lacks_is_virtio() -> None:
    clone = clone_of(domain(), nics=(part(), part(model="e1000e")))
    assert found(clone, "devices/interface/model/@type") == ["virtio", "e1000e"]


@pytest.mark.parametrize(
    ("model", "becomes", "drivers"),
    [(None, "virtio", 1), ("virtio", "virtio", 1), ("e1000e", "e1000e", 0)],
)
def test_a_driver_is_of_its_model(model: str | None, becomes: str, drivers: int) -> None:
    xml = domain(devices=interface("<driver name='vhost' queues='4'/>"))
    clone = clone_of(xml, nics=(part(model=model),))
    assert found(clone, "devices/interface/model/@type") == [becomes]
    assert len(found(clone, "devices/interface/driver")) == drivers


@pytest.mark.parametrize(
    ("rates", "inbound", "outbound"),
    [
        ({}, [], []),
        ({"inbound": 8_000_000}, ["1000"], []),
        ({"outbound": 8_000_000}, [], ["1000"]),
        ({"inbound": 15_999, "outbound": 7_999}, ["1"], ["1"]),  # down, but never to "no limit"
    ],
)
def test_rates_are_kilobytes_a_second(
    rates: dict[str, int], inbound: list[str], outbound: list[str]
) -> None:
    clone = clone_of(domain(devices=interface()), nics=(part(**rates),))
    assert found(clone, "devices/interface/bandwidth/inbound/@average") == inbound
    assert found(clone, "devices/interface/bandwidth/outbound/@average") == outbound


@pytest.mark.parametrize(("up", "state"), [(True, "up"), (False, "down")])
def test_the_link_is_the_clones(up: bool, state: str) -> None:
    clone = clone_of(domain(devices=interface()), nics=(part(link_up=up),))
    assert found(clone, "devices/interface/link/@state") == [state]


@pytest.mark.parametrize(
    ("ips", "expected"),
    [
        ((), ["MAC=fa:00:00:00:00:01", "CTRL_IP_LEARNING=dhcp"]),
        (("10.0.0.5",), ["MAC=fa:00:00:00:00:01", "IP=10.0.0.5", "CTRL_IP_LEARNING=dhcp"]),
        (
            ("10.0.0.5", "fd00::5", "10.0.0.6"),
            [
                "MAC=fa:00:00:00:00:01",
                "IP=10.0.0.5",
                "IP=10.0.0.6",
                "IPV6=fd00::5",
                "CTRL_IP_LEARNING=dhcp",
            ],
        ),
    ],
)
def test_a_filter_lets_the_clones_addresses_through(
    ips: tuple[str, ...], expected: list[str]
) -> None:
    values = {
        "MAC": ["52:54:00:00:00:99"],
        "IP": ["192.168.1.9", "192.168.1.10"],
        "IPV6": ["fd00::99"],
        "CTRL_IP_LEARNING": ["dhcp"],
    }
    parameters = "".join(
        f"<parameter name='{name}' value='{value}'/>"
        for name, of_name in values.items()
        for value in of_name
    )
    xml = domain(devices=interface(f"<filterref filter='clean'>{parameters}</filterref>"))
    clone = clone_of(xml, nics=(part(ips=ips),))
    assert found(clone, "devices/interface/filterref/@filter") == ["clean"]
    shown = clone.findall("devices/interface/filterref/parameter")
    assert [f"{item.get('name')}={item.get('value')}" for item in shown] == expected


@pytest.mark.parametrize(
    ("bridge", "stays"), [("br0", True), ("br1", False)], ids=["same bridge", "another"]
)
def test_what_is_of_a_network_stays_on_it(bridge: str, stays: bool) -> None:
    own = "<vlan><tag id='42'/></vlan>" + OPENVSWITCH.format("golden-port")
    clone = clone_of(domain(devices=interface(own)), nics=(part(source=bridge),))
    assert found(clone, "devices/interface/vlan/tag/@id") == (["42"] if stays else [])
    port = "devices/interface/virtualport"
    assert found(clone, f"{port}/@type") == (["openvswitch"] if stays else [])
    assert found(clone, f"{port}/parameters/@*") == (["p"] if stays else [])


def test_a_port_group_stays_on_its_network() -> None:
    nic = interface(head="type='network'", source="network='lab' portgroup='blue' portid='77'")
    for network, group in (("lab", ["blue"]), ("other", [])):
        own = part(kind=NicKind.NETWORK, source=network)
        clone = clone_of(domain(devices=nic), nics=(own,))
        assert found(clone, "devices/interface/source/@portgroup") == group
        assert found(clone, "devices/interface/source/@portid") == []
