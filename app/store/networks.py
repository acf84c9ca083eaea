"""The addresses that a batch of grants may give out, network by network."""

import random
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from app.domain import addressing
from app.domain.addressing import AddressRange
from app.domain.errors import AddressUnavailable
from app.store import lookups
from app.store.models import IpAllocator

VERSIONS = (4, 6)


@dataclass(frozen=True, slots=True)
class Free:
    """An address that nobody has; without a range nothing is known of its subnet."""

    version: int
    number: int
    address_range: AddressRange | None = None

    @property
    def ip(self) -> str:
        return addressing.text_of(self.version, self.number)

    @property
    def netmask(self) -> str | None:
        return self.address_range.netmask if self.address_range else None

    @property
    def gateway(self) -> str | None:
        return self.address_range.gateway if self.address_range else None


@dataclass(slots=True)
class AddressPool:
    """One family of a network. `free` holds more addresses than the batch needs, if there are as
    many; `asked` those that requests name and that are free, outside of `free`."""

    has_ranges: bool
    free: deque[Free]
    asked: dict[int, Free]


@dataclass(slots=True)
class L3View:
    uuid: str
    name: str
    bridge: str | None
    libvirt_network: str | None
    dns: tuple[str, ...]
    allocator: IpAllocator
    pools: Mapping[int, AddressPool]  # by IP version, both

    @property
    def versions(self) -> tuple[int, ...]:
        """Those in which each NIC has an address; none where others give them out."""
        return tuple(version for version in VERSIONS if self.pools[version].has_ranges)

    def pick(self, version: int) -> Free:
        """Raises AddressUnavailable."""
        pool = self.pools[version]
        if pool.free:
            return pool.free.popleft()
        raise AddressUnavailable(
            f"IP allocator strategy[{self.allocator}] failed, because no ip is available in this "
            f"l3Network[name:{self.name}, uuid:{self.uuid}]"
        )

    def has(self, ip: str) -> bool:
        version, number = addressing.split_ip(ip)
        return number in self.pools[version].asked

    def take(self, ip: str) -> Free:
        """This very address. Raises AddressUnavailable if it is outside or in use."""
        version, number = addressing.split_ip(ip)
        found = self.pools[version].asked.pop(number, None)
        if found is None:
            raise AddressUnavailable(
                f"IP allocator strategy[{self.allocator}] failed, because IP[{ip}] is not "
                f"available in l3Network[name:{self.name}, uuid:{self.uuid}]"
            )
        return found

    def give_back(self, address: Free, *, was_asked: bool) -> None:
        pool = self.pools[address.version]
        if was_asked:
            pool.asked[address.number] = address
        else:
            pool.free.appendleft(address)


@dataclass(frozen=True, slots=True)
class AddressNeed:
    """What a batch wants of one network: this many addresses of each family that it has, and
    these very ones, as (version, number). `kept` are those that others will ask for, too: as
    (version, numbers)."""

    number: int
    asked: frozenset[tuple[int, int]]
    kept: tuple[tuple[int, range], ...] = ()


def load_network(
    connection: Connection, l3_uuid: str, need: AddressNeed, rng: random.Random
) -> L3View | None:
    """None for one that was removed meanwhile."""
    network = connection.execute(
        text(
            "SELECT uuid, name, bridge, libvirt_network, dns, "
            "ip_allocator::text AS ip_allocator FROM l3_networks WHERE uuid = :uuid"
        ),
        {"uuid": l3_uuid},
    ).one_or_none()
    if network is None:
        return None
    ranges: dict[int, list[AddressRange]] = {version: [] for version in VERSIONS}
    for row in connection.execute(
        text("SELECT * FROM ip_ranges WHERE l3_network_uuid = :uuid ORDER BY created_at, start_ip"),
        {"uuid": l3_uuid},
    ).all():
        ranges[row.ip_version].append(lookups.range_of(row))
    allocator = IpAllocator(network.ip_allocator)
    # Without any range the network gives out no addresses, and a named one is of no range.
    gives_out = any(ranges.values())
    return L3View(
        l3_uuid,
        network.name,
        network.bridge,
        network.libvirt_network,
        tuple(network.dns or ()),
        allocator,
        {
            version: _Search(
                connection,
                l3_uuid,
                version,
                ranges[version],
                allocator,
                frozenset(number for of, number in need.asked if of == version),
                tuple(numbers for of, numbers in need.kept if of == version),
                rng,
            ).pool(need.number, gives_out=gives_out)
            for version in VERSIONS
        },
    )


@dataclass(frozen=True, slots=True)
class _Search:
    """Of one family of a network."""

    connection: Connection
    l3_uuid: str
    version: int
    ranges: Sequence[AddressRange]
    allocator: IpAllocator
    asked: frozenset[int]
    kept: Sequence[range]
    rng: random.Random

    def pool(self, number: int, *, gives_out: bool) -> AddressPool:
        gateways = {addressing.split_ip(r.gateway)[1] for r in self.ranges if r.gateway}
        left = self.asked - self._taken(self.asked) - gateways
        asked = {n: Free(self.version, n, r) for r in self.ranges for n in left if n in r}
        if not gives_out:
            asked = {n: Free(self.version, n) for n in left}
        free = self._free(number, gateways) if self.ranges else []
        return AddressPool(bool(self.ranges), deque(free), asked)

    def _free(self, number: int, reserved: Set[int]) -> list[Free]:
        if self.allocator is IpAllocator.RANDOM:
            free = self._sample(self.ranges[0], number, reserved)
            if len(free) >= number:
                return free
        return self._search(number, reserved)

    def _sample(self, address_range: AddressRange, number: int, reserved: Set[int]) -> list[Free]:
        """Free addresses among twice as many drawn by chance: enough unless the range is filling
        up, and its cost does not grow with the addresses in use."""
        draws = min(address_range.size, 2 * number + 16)
        start, end = address_range.start, address_range.end
        if address_range.size > sys.maxsize:  # more than a range() can be drawn from
            drawn = list(dict.fromkeys(self.rng.randint(start, end) for _ in range(draws)))
        else:
            drawn = self.rng.sample(range(start, end + 1), draws)
        taken = self._taken(drawn) | reserved
        return [
            Free(self.version, n, address_range)
            for n in drawn
            if n not in taken and not self._is_kept(n)
        ]

    def _is_kept(self, number: int) -> bool:
        return any(number in numbers for numbers in self.kept)

    def _search(self, number: int, reserved: Set[int]) -> list[Free]:
        """The ranges in order, with all that is taken known."""
        taken = self._all_taken() | reserved
        free: list[Free] = []
        for address_range in self.ranges:
            numbers = (
                addressing.first_available(address_range, taken)
                if self.allocator is IpAllocator.FIRST_AVAILABLE
                else addressing.random_free(address_range, taken, self.rng)
            )
            nobodys = (n for n in numbers if not self._is_kept(n))
            wanted = islice(nobodys, number - len(free))
            free += [Free(self.version, n, address_range) for n in wanted]
        return free

    def _all_taken(self) -> set[int]:
        column = "ip_in_long" if self.version == 4 else "ip"
        found = self.connection.execute(
            text(
                f"SELECT {column} FROM used_ips WHERE l3_network_uuid = :uuid "  # noqa: S608
                "AND ip_version = :version"
            ),
            {"uuid": self.l3_uuid, "version": self.version},
        ).scalars()
        return set(found if self.version == 4 else (addressing.split_ip(ip)[1] for ip in found))

    def _taken(self, numbers: Iterable[int]) -> set[int]:
        """Of these. IPv6's are known by their text: their numbers fit into no column."""
        if self.version == 4:
            return set(self._used("ip_in_long", list(numbers)))
        of_ip = {addressing.text_of(6, number): number for number in numbers}
        return {of_ip[ip] for ip in self._used("ip", list(of_ip))}

    def _used(self, column: str, values: list[Any]) -> Sequence[Any]:
        if not values:
            return []
        return (
            self.connection.execute(
                text(
                    f"SELECT {column} FROM used_ips WHERE l3_network_uuid = :uuid "  # noqa: S608
                    f"AND {column} = ANY(:values) AND ip_version = :version"
                ),
                {"uuid": self.l3_uuid, "values": values, "version": self.version},
            )
            .scalars()
            .all()
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the jobs of a batch want of all networks."""

    source_uuids: Set[str]  # of jobs whose clones have NICs as their source has
    wished: Sequence[Sequence[str]]  # each other job's networks, one for a NIC
    asked_ips: Iterable[tuple[str, str]]  # (network, address) of its names
    kept_ips: Iterable[tuple[str, str, int]]  # (network, first, number) of all names that wait


def needs(connection: Connection, wanted: Wanted, number: int) -> dict[str, AddressNeed]:
    """By network, for at most `number` clones."""
    asked: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for l3_uuid, ip in wanted.asked_ips:
        asked[l3_uuid].add(addressing.split_ip(ip))
    kept: dict[str, list[tuple[int, range]]] = defaultdict(list)
    for l3_uuid, first, count in wanted.kept_ips:
        version, start = addressing.split_ip(first)
        kept[l3_uuid].append((version, range(start, start + count)))
    rows = connection.execute(
        text(
            "SELECT l3_network_uuid, max(nics) AS nics FROM (SELECT l3_network_uuid, "
            " count(*) AS nics FROM vm_nics WHERE vm_instance_uuid = ANY(:uuids) "
            " GROUP BY l3_network_uuid, vm_instance_uuid) a_vm GROUP BY l3_network_uuid"
        ),
        {"uuids": list(wanted.source_uuids)},
    ).all()
    nics = Counter({row.l3_network_uuid: row.nics for row in rows})
    for networks in wanted.wished:
        nics |= Counter(networks)
    return {
        l3_uuid: AddressNeed(number * most, frozenset(asked[l3_uuid]), tuple(kept[l3_uuid]))
        for l3_uuid, most in nics.items()
    }
