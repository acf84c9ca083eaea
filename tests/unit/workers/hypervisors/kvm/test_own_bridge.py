"""A subnet for the demo's guests is one that nobody on this host uses."""

from ipaddress import IPv4Network

import pytest

from app.domain.errors import AddressUnavailable
from workers.hypervisors.kvm.own_bridge import free_subnet


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ([], "192.168.200.0/24"),
        (["192.168.122.0/24", "10.0.0.0/8"], "192.168.200.0/24"),
        (["192.168.200.0/25", "192.168.201.7/32"], "192.168.202.0/24"),
        (["192.168.192.0/18"], "192.168.0.0/24"),  # the rest of that pool
        (["192.168.0.0/16"], "172.16.200.0/24"),
        (["192.168.0.0/16", "172.16.0.0/12"], "10.0.200.0/24"),
    ],
)
def test_the_first_one_that_overlaps_nothing(used: list[str], expected: str) -> None:
    assert free_subnet(map(IPv4Network, used)) == IPv4Network(expected)


def test_none_is_left() -> None:
    with pytest.raises(AddressUnavailable):
        free_subnet([IPv4Network("0.0.0.0/0")])
