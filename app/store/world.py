"""What the scheduler sees before it grants: hosts, storages and networks with what is free."""

import random
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, text

from app.domain import addressing
from app.domain.addressing import AddressRange
from app.domain.errors import AddressUnavailable, PrimaryStorageFull
from app.domain.placement import Candidate
from app.domain.plan import HypervisorType, StorageRef, StorageType
from app.store.hosts import SEEN_WITHIN_S
from app.store.models import IpAllocator

FAULT_PATIENCE_S = 120.0


@dataclass(slots=True)
class StorageView:
    ref: StorageRef
    name: str
    reflink: bool
    fault: str | None  # why it cannot be used now
    fault_lasts: bool  # for too long to be worth waiting for
    available: int  # bytes that nobody holds
    headroom: "Headroom"

    def take(self, amount: int) -> None:
        """Raises PrimaryStorageFull where either the capacity or the disk itself is too small."""
        room = min(self.available, self.headroom.free)
        if amount > room:
            raise PrimaryStorageFull(
                f"primary storage[name:{self.name}, uuid:{self.ref.uuid}] has {max(0, room)} bytes "
                f"available above its stop line, the volume needs {amount}; free some space, "
                "enlarge the storage or clone to another one"
            )
        self.available -= amount
        self.headroom.free -= amount


@dataclass(slots=True)
class Headroom:
    """What a file system can still take above its stop line, shared by its storages."""

    free: int


Free = tuple[AddressRange, int]


@dataclass(slots=True)
class L3View:
    """`free` holds more addresses than the batch needs, if the network has as many; `asked` those
    that requests name and that are free, outside of `free`."""

    uuid: str
    name: str
    bridge: str | None
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


@dataclass(slots=True)
class World:
    candidates: list[Candidate]
    storages: dict[str, StorageView]
    l3_networks: dict[str, L3View]
    releasing: bool  # some items are rolling back and will give back what they hold


def load(connection: Connection, *, default_slots: int, keep_free: float) -> World:
    return World(
        candidates=_candidates(connection, default_slots),
        storages=_storages(connection, keep_free),
        l3_networks={},
        releasing=bool(
            connection.scalar(
                text("SELECT EXISTS (SELECT 1 FROM items WHERE state = 'RollingBack')")
            )
        ),
    )


def _candidates(connection: Connection, default_slots: int) -> list[Candidate]:
    rows = connection.execute(
        text(
            "SELECT h.uuid, h.name, c.zone_uuid, h.cluster_uuid, "
            "c.hypervisor_type::text AS hypervisor_type, "
            "h.state = 'Enabled' AND c.state = 'Enabled' AS enabled, "
            "COALESCE(h.seen_at > clock_timestamp() - make_interval(secs => :seen_s), FALSE) "
            " AS connected, "
            "k.available_cpu, k.available_memory, COALESCE(h.slots, :slots) "
            " - (SELECT count(*) FROM items WHERE items.host_uuid = h.uuid "
            "    AND items.state IN ('Granted', 'Running', 'RollingBack')) AS free_slots, "
            "(SELECT count(*) FROM vm_instances v WHERE v.host_uuid = h.uuid) AS vm_count, "
            "ARRAY(SELECT a.primary_storage_uuid FROM cluster_primary_storages a "
            " JOIN primary_storages s ON s.uuid = a.primary_storage_uuid "
            " WHERE a.cluster_uuid = h.cluster_uuid AND s.state = 'Enabled' "
            " AND (s.host_uuid IS NULL OR s.host_uuid = h.uuid)) AS storages, "
            "ARRAY(SELECT a.l3_network_uuid FROM cluster_l3_networks a "
            " JOIN l3_networks l ON l.uuid = a.l3_network_uuid "
            " WHERE a.cluster_uuid = h.cluster_uuid AND l.state = 'Enabled') AS l3s "
            "FROM hosts h JOIN clusters c ON c.uuid = h.cluster_uuid "
            "JOIN host_capacities k ON k.host_uuid = h.uuid ORDER BY h.name"
        ),
        {"seen_s": SEEN_WITHIN_S, "slots": default_slots},
    ).all()
    return [
        Candidate(
            uuid=row.uuid,
            name=row.name,
            zone_uuid=row.zone_uuid,
            cluster_uuid=row.cluster_uuid,
            hypervisor_type=HypervisorType(row.hypervisor_type),
            enabled=row.enabled,
            connected=row.connected,
            free_cpu=row.available_cpu,
            free_memory=row.available_memory,
            free_slots=row.free_slots,
            vm_count=row.vm_count,
            storage_uuids=frozenset(row.storages),
            l3_network_uuids=frozenset(row.l3s),
        )
        for row in rows
    ]


def _storages(connection: Connection, keep_free: float) -> dict[str, StorageView]:
    rows = connection.execute(
        text(
            "SELECT s.uuid, s.name, s.type::text AS type, s.url, s.reflink, "
            "CASE WHEN s.seen_at IS NULL THEN 'no worker has seen it yet' "
            " ELSE s.fault END AS fault, "
            "COALESCE(s.fault_since, s.created_at) "
            " < clock_timestamp() - make_interval(secs => :patience_s) AS fault_lasts, "
            "k.available_bytes, "
            "COALESCE(s.host_uuid, '') || '/' || COALESCE(s.file_system_id, s.uuid) AS disk, "
            "COALESCE(s.physical_free, 0) AS physical_free, "
            "COALESCE(s.physical_total, 0) AS physical_total, "
            # Held by volumes that are not written yet, so the disk does not show it.
            "COALESCE(p.amount, 0) AS pending "
            "FROM primary_storages s JOIN storage_capacities k ON k.primary_storage_uuid = s.uuid "
            "LEFT JOIN (SELECT r.resource_uuid, sum(r.amount) AS amount FROM items i "
            " JOIN reservations r ON r.holder_uuid = ANY(i.volume_uuids) "
            " WHERE i.state IN ('Granted', 'Running', 'RollingBack') "
            " GROUP BY r.resource_uuid) p ON p.resource_uuid = s.uuid"
        ),
        {"patience_s": FAULT_PATIENCE_S},
    ).all()
    headrooms: dict[str, Headroom] = {}
    for row in rows:
        free = row.physical_free - int(row.physical_total * keep_free)
        headroom = headrooms.setdefault(row.disk, Headroom(free))
        headroom.free = min(headroom.free, free)
    for row in rows:
        headrooms[row.disk].free -= int(row.pending)
    return {
        row.uuid: StorageView(
            ref=StorageRef(row.uuid, StorageType(row.type), row.url),
            name=row.name,
            reflink=row.reflink,
            fault=row.fault,
            fault_lasts=row.fault_lasts,
            available=row.available_bytes,
            headroom=headrooms[row.disk],
        )
        for row in rows
    }


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
            "SELECT uuid, name, bridge, ip_allocator::text AS ip_allocator FROM l3_networks "
            "WHERE uuid = :uuid"
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
    return L3View(l3_uuid, network.name, network.bridge, allocator, deque(free), asked)


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
    static_ips: Iterable[tuple[str, str]],
    number: int,
) -> dict[str, AddressNeed]:
    """By network: at most `number` clones of any of these source VMs."""
    asked: dict[str, set[int]] = defaultdict(set)
    for l3_uuid, ip in static_ips:
        asked[l3_uuid].add(addressing.to_number(ip))
    rows = connection.execute(
        text(
            "SELECT l3_network_uuid, max(nics) AS nics FROM (SELECT l3_network_uuid, "
            " count(*) AS nics FROM vm_nics WHERE vm_instance_uuid = ANY(:uuids) "
            " GROUP BY l3_network_uuid, vm_instance_uuid) a_vm GROUP BY l3_network_uuid"
        ),
        {"uuids": list(vm_uuids)},
    ).all()
    return {
        row.l3_network_uuid: AddressNeed(number * row.nics, frozenset(asked[row.l3_network_uuid]))
        for row in rows
    }
