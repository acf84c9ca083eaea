"""The addresses that a batch of grants may give out, network by network."""

import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, text

from app.domain import addressing
from app.domain.addressing import AddressRange
from app.domain.errors import AddressUnavailable
from app.store.models import IpAllocator

Free = tuple[AddressRange, int]


@dataclass(slots=True)
class L3View:
    """`free` holds more addresses than the batch needs, if the network has as many; `asked` those
    that requests name and that are free, outside of `free`."""

    uuid: str
    name: str
    bridge: str | None
    libvirt_network: str | None
    dns: tuple[str, ...]
    allocator: IpAllocator
    free: deque[Free]
    asked: dict[int, Free]

    def pick(self) -> Free:
        """Raises AddressUnavailable."""
        if self.free:
            return self.free.popleft()
        raise AddressUnavailable(
            f"IP allocator strategy[{self.allocator}] failed, because no ip is available in this "
            f"l3Network[name:{self.name}, uuid:{self.uuid}]"
        )

    def take(self, ip: str) -> Free:
        """This very address. Raises AddressUnavailable if it is outside or in use."""
        found = self.asked.pop(addressing.to_number(ip), None)
        if found is None:
            raise AddressUnavailable(
                f"IP allocator strategy[{self.allocator}] failed, because IP[{ip}] is not "
                f"available in l3Network[name:{self.name}, uuid:{self.uuid}]"
            )
        return found

    def give_back(self, address: Free, *, was_asked: bool) -> None:
        if was_asked:
            self.asked[address[1]] = address
        else:
            self.free.appendleft(address)


@dataclass(frozen=True, slots=True)
class AddressNeed:
    """What a batch wants of one network: this many addresses, and these very ones."""

    number: int
    asked: frozenset[int]


def load_network(
    connection: Connection, l3_uuid: str, need: AddressNeed, rng: random.Random
) -> L3View:
    network = connection.execute(
        text(
            "SELECT uuid, name, bridge, libvirt_network, dns, "
            "ip_allocator::text AS ip_allocator FROM l3_networks WHERE uuid = :uuid"
        ),
        {"uuid": l3_uuid},
    ).one()
    ranges = [
        AddressRange(row.uuid, row.start_ip_in_long, row.end_ip_in_long, row.netmask, row.gateway)
        for row in connection.execute(
            text(
                "SELECT * FROM ip_ranges WHERE l3_network_uuid = :uuid AND ip_version = 4 "
                "ORDER BY created_at, start_ip_in_long"
            ),
            {"uuid": l3_uuid},
        ).all()
    ]
    allocator = IpAllocator(network.ip_allocator)
    gateways = {addressing.to_number(r.gateway) for r in ranges if r.gateway}
    reserved = gateways | need.asked
    taken_asked = _taken(connection, l3_uuid, need.asked)
    asked = {
        number: (address_range, number)
        for address_range in ranges
        for number in need.asked - taken_asked - gateways
        if number in address_range
    }
    free: list[Free] = []
    if allocator is IpAllocator.RANDOM and ranges:
        free = _sample(connection, l3_uuid, ranges[0], need.number, reserved, rng)
    if len(free) < need.number:
        free = _search(connection, l3_uuid, ranges, allocator, need.number, reserved, rng)
    return L3View(
        l3_uuid,
        network.name,
        network.bridge,
        network.libvirt_network,
        tuple(network.dns or ()),
        allocator,
        deque(free),
        asked,
    )


def _sample(
    connection: Connection,
    l3_uuid: str,
    address_range: AddressRange,
    number: int,
    reserved: Set[int],
    rng: random.Random,
) -> list[Free]:
    """Free addresses among twice as many drawn by chance: enough unless the range is filling up,
    and its cost does not grow with the addresses in use."""
    draws = min(address_range.size, 2 * number + 16)
    drawn = rng.sample(range(address_range.start, address_range.end + 1), draws)
    taken = _taken(connection, l3_uuid, drawn) | reserved
    return [(address_range, n) for n in drawn if n not in taken]


def _search(
    connection: Connection,
    l3_uuid: str,
    ranges: Sequence[AddressRange],
    allocator: IpAllocator,
    number: int,
    reserved: Set[int],
    rng: random.Random,
) -> list[Free]:
    """The ranges in order, with all that is taken known."""
    taken = set(
        connection.execute(
            text(
                "SELECT ip_in_long FROM used_ips WHERE l3_network_uuid = :uuid AND ip_version = 4"
            ),
            {"uuid": l3_uuid},
        ).scalars()
    )
    taken |= reserved
    free: list[Free] = []
    for address_range in ranges:
        numbers = (
            addressing.first_available(address_range, taken)
            if allocator is IpAllocator.FIRST_AVAILABLE
            else addressing.random_free(address_range, taken, rng)
        )
        free += [(address_range, n) for n in islice(numbers, number - len(free))]
    return free


def _taken(connection: Connection, l3_uuid: str, numbers: Iterable[int]) -> set[int]:
    return set(
        connection.execute(
            text(
                "SELECT ip_in_long FROM used_ips WHERE l3_network_uuid = :uuid "
                "AND ip_in_long = ANY(:numbers) AND ip_version = 4"
            ),
            {"uuid": l3_uuid, "numbers": list(numbers)},
        ).scalars()
    )


def needs(
    connection: Connection,
    vm_uuids: Iterable[str],
    wished: Iterable[Sequence[str]],
    asked_ips: Iterable[tuple[str, str]],
    number: int,
) -> dict[str, AddressNeed]:
    """By network: at most `number` clones of any of these source VMs, or with NICs in these
    networks."""
    asked: dict[str, set[int]] = defaultdict(set)
    for l3_uuid, ip in asked_ips:
        asked[l3_uuid].add(addressing.to_number(ip))
    rows = connection.execute(
        text(
            "SELECT l3_network_uuid, max(nics) AS nics FROM (SELECT l3_network_uuid, "
            " count(*) AS nics FROM vm_nics WHERE vm_instance_uuid = ANY(:uuids) "
            " GROUP BY l3_network_uuid, vm_instance_uuid) a_vm GROUP BY l3_network_uuid"
        ),
        {"uuids": list(vm_uuids)},
    ).all()
    nics = Counter({row.l3_network_uuid: row.nics for row in rows})
    for networks in wished:
        nics |= Counter(networks)
    return {
        l3_uuid: AddressNeed(number * most, frozenset(asked[l3_uuid]))
        for l3_uuid, most in nics.items()
    }
