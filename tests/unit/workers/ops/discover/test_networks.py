"""One L3 network for each wire, with the addresses that nobody is known to have."""

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from app.domain.addressing import to_number, to_text
from app.domain.plan import HypervisorType
from app.store.inventory.values import Cluster, Network, Zone
from tests.unit.workers.ops.discover.hosts import (
    LAN,
    domain_view,
    golden,
    host,
    network,
    nic,
)
from workers.hypervisors.kvm.host_view import DomainView, HostView
from workers.ops.discover.networks import network_of, wires_of
from workers.ops.discover.ranges import free_spans

CLUSTER = Cluster("c" * 32, "host-a", None, Zone("z" * 32, "z", None), HypervisorType.KVM)
VLAN = (
    "<network><name>vlan</name><forward mode='bridge'/><bridge name='br0'/>"
    "<vlan><tag id='20'/></vlan></network>"
)
SHARED = "<network><name>shared</name><forward mode='bridge'/><bridge name='br0'/></network>"


@pytest.mark.parametrize(
    ("subnet", "taken", "spans"),
    [
        ("10.0.0.0/29", [], ["1-6"]),
        ("10.0.0.0/29", [1, 6], ["2-5"]),
        ("10.0.0.0/29", [3, 3, 4], ["1-2", "5-6"]),
        ("10.0.0.0/29", [1, 2, 3, 4, 5, 6], []),
        ("10.0.0.0/29", [0, 7, 200], ["1-6"]),  # none of them is a host's of this subnet
        ("10.0.0.0/31", [], ["0-1"]),  # RFC 3021: both are hosts'
    ],
)
def test_spans_have_what_is_not_taken(subnet: str, taken: list[int], spans: list[str]) -> None:
    base = to_number("10.0.0.0")
    found = free_spans(IPv4Network(subnet), [base + number for number in taken])
    assert [f"{start - base}-{end - base}" for start, end in found] == spans


def networks_of(
    view: HostView, known: tuple[Network, ...] = (), guests: tuple[str, ...] = ()
) -> dict[str, Network]:
    """By the name of their wire."""
    numbers = frozenset(map(to_number, guests))
    found = {w.name: network_of(w, numbers, CLUSTER, "host-a", known) for w in wires_of(view).all()}
    return {name: made for name, made in found.items() if made}


def spans(made: Network) -> list[str]:
    return [f"{to_text(r.start)}-{to_text(r.end)}" for r in made.ranges]


def test_a_libvirt_network_leaves_out_itself_its_entries_and_its_leases() -> None:
    view = host(networks=[network(LAN, m05="10.78.0.30")])
    (made,) = networks_of(view, guests=("10.78.0.40",)).values()
    assert (made.name, made.libvirt_network, made.bridge) == ("host-a-lan", "lan", None)
    assert spans(made) == [
        "10.78.0.2-10.78.0.19",
        "10.78.0.21-10.78.0.29",
        "10.78.0.31-10.78.0.39",
        "10.78.0.41-10.78.0.254",
    ]
    assert {r.gateway for r in made.ranges} == {"10.78.0.1"}
    assert made.dns == ("10.78.0.1",)


def test_guests_of_an_isolated_network_have_no_gateway() -> None:
    isolated = LAN.replace("<forward mode='nat'/>", "<dns enable='no'/>")
    (made,) = networks_of(host(networks=[network(isolated)])).values()
    assert {r.gateway for r in made.ranges} == {None}
    assert made.dns == ()


def plugged_into(bridge: str) -> DomainView:
    return domain_view(golden(Path("/images/a.qcow2"), nic("bridge", bridge)))


def plugged(bridge: str) -> HostView:
    return host(plugged_into(bridge), networks=[network(LAN)], gateways={"br0": "10.77.0.254"})


def test_a_bridge_leaves_out_the_host_and_its_gateway() -> None:
    made = networks_of(plugged("br0"))["br0"]
    assert (made.bridge, made.libvirt_network, made.dns) == ("br0", None, ("10.77.0.3",))
    assert spans(made) == ["10.77.0.2-10.77.0.253"]
    assert {r.gateway for r in made.ranges} == {"10.77.0.254"}


def test_the_bridge_of_a_libvirt_network_is_that_network() -> None:
    view = plugged("virbr1")
    assert networks_of(view).keys() == {"lan"}
    wires = wires_of(view)
    (plugged_in,) = view.domains[0].source.nics
    assert wires.of(plugged_in) == wires.by_network["lan"]


def test_a_bridge_without_an_address_and_a_vlan_have_no_known_addresses() -> None:
    view = host(plugged_into("br9"), networks=[network(VLAN)])
    assert networks_of(view) == {}


def test_a_network_on_the_hosts_bridge_is_one_wire_with_it() -> None:
    view = host(plugged_into("br0"), networks=[network(SHARED), network(VLAN)])
    assert networks_of(view).keys() == {"shared"}
    assert {wire.name for wire in wires_of(view).all()} == {"shared", "vlan"}


def test_what_the_inventory_has_stays() -> None:
    view = plugged("br0")
    first = networks_of(view)
    narrowed = replace(first["br0"], name="office", ranges=first["br0"].ranges[:1])
    assert networks_of(view, (narrowed,), guests=("10.77.0.5",))["br0"] is narrowed
