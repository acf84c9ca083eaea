"""Which addresses of a subnet clones may have."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network


def free_spans(subnet: IPv4Network, taken: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The first and last number of each span of the subnet's host addresses that has none of
    `taken`, from the lowest."""
    ends = 0 if subnet.prefixlen > 30 else 1  # the network's own address and its broadcasts
    start = int(subnet.network_address) + ends
    last = int(subnet.broadcast_address) - ends
    for number in sorted(set(taken)):
        if start <= number <= last:
            if start < number:
                yield start, number - 1
            start = number + 1
    if start <= last:
        yield start, last
