"""What the scheduler sees before it grants: hosts and storages with what is free."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.errors import PrimaryStorageFull
from app.domain.line import Line
from app.domain.placement import Candidate
from app.domain.plan import HypervisorType, StorageRef, StorageType
from app.domain.slots import Slots
from app.domain.states import WaitReason
from app.settings import Settings
from app.store import limits
from app.store.hosts import CONNECTED
from app.store.limits import Limits
from app.store.models import LimitName, LimitScope
from app.store.networks import L3View
from app.store.under_way import Family, UnderWay

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
    copies: Slots  # full ones onto it

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


@dataclass(slots=True)
class World:
    candidates: list[Candidate]
    storages: dict[str, StorageView]
    l3_networks: dict[str, L3View]
    sources: Family
    accounts: Family
    macs: set[str]  # those that requests name and that are free
    releasing: bool  # some items are rolling back and will give back what they hold

    def lift_limits(self) -> None:
        """Nothing waits for a place any more: then it shows where clones go, not when."""
        for candidate in self.candidates:
            candidate.builds = Slots(None, WaitReason.HOST_SLOTS)
            candidate.copies = Slots(None, WaitReason.HOST_SLOTS)
        for storage in self.storages.values():
            storage.copies = Slots(None, WaitReason.STORAGE_SLOTS)
        none = Limits({})
        self.sources = Family(none, LimitScope.SOURCE, WaitReason.SOURCE_SLOTS, {})
        self.accounts = Family(none, LimitScope.ACCOUNT, WaitReason.ACCOUNT_SHARE, {})


@dataclass(frozen=True, slots=True)
class Defaults:
    """The limits where nobody set one."""

    builds_of_host: int
    processes_of_host: int  # of a worker that did not say
    copies_of_storage: int

    @classmethod
    def of(cls, settings: Settings) -> "Defaults":
        return cls(
            builds_of_host=settings.host_slots,
            processes_of_host=settings.worker_processes,
            copies_of_storage=settings.storage_full_copies,
        )


def load(connection: Connection, *, defaults: Defaults, keep_free: float) -> World:
    set_limits = limits.load(connection)
    under_way = UnderWay.load(connection)
    return World(
        candidates=_candidates(connection, set_limits, under_way, defaults),
        storages=_storages(connection, keep_free, set_limits, under_way, defaults),
        sources=Family(set_limits, LimitScope.SOURCE, WaitReason.SOURCE_SLOTS, under_way.sources),
        accounts=Family(
            set_limits, LimitScope.ACCOUNT, WaitReason.ACCOUNT_SHARE, under_way.accounts
        ),
        l3_networks={},
        macs=set(),
        releasing=bool(
            connection.scalar(
                text("SELECT EXISTS (SELECT 1 FROM items WHERE state = 'RollingBack')")
            )
        ),
    )


def _candidates(
    connection: Connection, set_limits: Limits, under_way: UnderWay, defaults: Defaults
) -> list[Candidate]:
    rows = connection.execute(
        text(
            "SELECT h.uuid, h.name, c.zone_uuid, h.cluster_uuid, "  # noqa: S608
            "c.hypervisor_type::text AS hypervisor_type, "
            "h.state = 'Enabled' AND c.state = 'Enabled' AS enabled, "
            f"{CONNECTED} AS connected, "
            "h.libvirt_uri, k.available_cpu - h.foreign_cpu AS available_cpu, "
            "k.available_memory - h.foreign_memory AS available_memory, h.slots, "
            "COALESCE(h.machine_id, h.uuid) AS machine, h.processes, h.runs, "
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
    ).all()
    machines: dict[str, Slots] = {}
    return [
        Candidate(
            uuid=row.uuid,
            name=row.name,
            zone_uuid=row.zone_uuid,
            cluster_uuid=row.cluster_uuid,
            hypervisor_type=HypervisorType(row.hypervisor_type),
            enabled=row.enabled,
            connected=row.connected,
            machine=row.machine,
            processes=_processes_of(row, defaults),
            free_cpu=row.available_cpu,
            free_memory=row.available_memory,
            line=under_way.lines.get(row.uuid) or Line(),
            builds=Slots(
                limit=set_limits.of(
                    LimitScope.HOST,
                    row.uuid,
                    LimitName.BUILDS,
                    defaults.builds_of_host if row.slots is None else row.slots,
                ),
                full=WaitReason.HOST_SLOTS,
                taken=under_way.hosts.get(row.uuid, {}),
            ),
            copies=_copies_of(machines, row, set_limits, under_way, defaults),
            vm_count=row.vm_count,
            libvirt_uri=row.libvirt_uri,
            storage_uuids=frozenset(row.storages),
            l3_network_uuids=frozenset(row.l3s),
            runs=None if row.runs is None else frozenset(row.runs),
        )
        for row in rows
    ]


def _copies_of(
    machines: dict[str, Slots],
    row: Row[Any],
    set_limits: Limits,
    under_way: UnderWay,
    defaults: Defaults,
) -> Slots:
    """One for all hosts of a machine: they share its worker's processes, of which one is always
    left to what is quick."""
    if row.machine not in machines:
        most = max(1, _processes_of(row, defaults) - 1)
        asked = set_limits.of(LimitScope.HOST, row.uuid, LimitName.FULL_COPIES, most)
        machines[row.machine] = Slots(
            limit=most if asked is None else min(most, asked),
            full=WaitReason.HOST_SLOTS,
            taken=under_way.machines.get(row.machine, {}),
        )
    return machines[row.machine]


def _processes_of(row: Row[Any], defaults: Defaults) -> int:
    return row.processes or defaults.processes_of_host


def _storages(
    connection: Connection,
    keep_free: float,
    set_limits: Limits,
    under_way: UnderWay,
    defaults: Defaults,
) -> dict[str, StorageView]:
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
            # Not `= ANY(i.volume_uuids)`, by which each is compared with each.
            " CROSS JOIN LATERAL unnest(i.volume_uuids) AS volume (uuid) "
            " JOIN reservations r ON r.holder_uuid = volume.uuid "
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
            copies=Slots(
                limit=set_limits.of(
                    LimitScope.PRIMARY_STORAGE,
                    row.uuid,
                    LimitName.FULL_COPIES,
                    defaults.copies_of_storage,
                ),
                full=WaitReason.STORAGE_SLOTS,
                taken=under_way.storages.get(row.uuid, {}),
            ),
        )
        for row in rows
    }
