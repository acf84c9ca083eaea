"""What the database knows of files, domains, reservations and counts, for holding it against the
world."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.domain.plan import HostRef, HypervisorType, StorageRef, StorageType
from app.store import capacity, snapshots


@dataclass(frozen=True, slots=True)
class KnownFile:
    uuid: str
    storage_uuid: str
    path: str
    size: int  # virtual
    settled: bool  # it must be there: nobody is making or removing it


@dataclass(frozen=True, slots=True)
class KnownVm:
    uuid: str
    host_uuid: str | None
    has_domain: bool | None  # None: an operation on it is under way, so it may or may not


@dataclass(frozen=True, slots=True)
class Known:
    """One moment of the database."""

    volumes: dict[str, KnownFile]
    bases: dict[str, KnownFile]
    vms: dict[str, KnownVm]
    overlays: dict[str, str]  # the storage of each that may exist

    @classmethod
    def load(cls, connection: Connection) -> "Known":
        volumes = _files(
            connection,
            "SELECT v.uuid, v.primary_storage_uuid AS storage, v.install_path AS path, v.size, "  # noqa: S608
            f"v.status = 'Ready' AND NOT {_UNDER_WAY} AS settled FROM volumes v "
            "WHERE v.origin = 'cloned' AND v.install_path IS NOT NULL",
        )
        bases = _files(
            connection,
            "SELECT b.uuid, b.primary_storage_uuid AS storage, b.install_path AS path, "
            "b.virtual_size AS size, s.state = 'Ready' AND b.handed_to IS NULL AS settled "
            "FROM bases b JOIN base_sets s ON s.uuid = b.base_set_uuid",
        )
        vms = connection.execute(
            text(
                "SELECT v.vm_instance_uuid AS uuid, v.host AS host_uuid, "  # noqa: S608
                # A destroyed VM keeps its domain until it is expunged.
                f"CASE WHEN {_UNDER_WAY} OR v.state = 'Destroyed' THEN NULL "
                "ELSE v.state IN ('Running', 'Stopped', 'Paused') END AS has_domain FROM "
                "(SELECT uuid AS vm_instance_uuid, state, origin, "
                " COALESCE(host_uuid, last_host_uuid) AS host FROM vm_instances) v "
                "WHERE v.origin = 'cloned'"
            )
        ).all()
        overlays = snapshots.overlay_storages(connection)
        return cls(volumes, bases, {row.uuid: KnownVm(*row) for row in vms}, overlays)


# Somebody may be making or removing what belongs to the VM of `v` at this moment.
_UNDER_WAY = (
    "EXISTS (SELECT 1 FROM items i WHERE i.vm_uuid = v.vm_instance_uuid "
    "AND i.state NOT IN ('Succeeded', 'Failed', 'Canceled'))"
)


def _files(connection: Connection, query: str) -> dict[str, KnownFile]:
    return {
        row.uuid: KnownFile(row.uuid, row.storage, row.path, row.size, row.settled)
        for row in connection.execute(text(query)).all()
    }


def minted(connection: Connection, vm_uuids: Sequence[str]) -> set[str]:
    """Which of these were given to names of clone jobs that are still known."""
    return set(
        connection.execute(
            text("SELECT vm_uuid FROM items WHERE vm_uuid = ANY(:uuids) AND kind = 'clone'"),
            {"uuids": list(vm_uuids)},
        ).scalars()
    )


@dataclass(frozen=True, slots=True)
class Served:
    """What this machine's workers see."""

    storages: list[StorageRef]
    hosts: list[HostRef]
    elsewhere: list[str]  # in words: what only another machine can look at


def networks_of(connection: Connection, host_uuid: str) -> list[tuple[str, str | None, str | None]]:
    """(name, bridge, libvirt network) of the L3 networks that the host's cluster reaches."""
    rows = connection.execute(
        text(
            "SELECT l.name, l.bridge, l.libvirt_network FROM l3_networks l "
            "JOIN cluster_l3_networks a ON a.l3_network_uuid = l.uuid "
            "JOIN hosts h ON h.cluster_uuid = a.cluster_uuid WHERE h.uuid = :host "
            "AND l.state = 'Enabled' ORDER BY l.name"
        ),
        {"host": host_uuid},
    ).all()
    return [(row.name, row.bridge, row.libvirt_network) for row in rows]


def served(connection: Connection, machine_id: str) -> Served:
    hosts = connection.execute(
        text(
            "SELECT h.uuid, h.name, h.libvirt_uri, h.machine_id = :machine_id AS mine, "
            "c.hypervisor_type::text AS type FROM hosts h "
            "JOIN clusters c ON c.uuid = h.cluster_uuid ORDER BY h.name"
        ),
        {"machine_id": machine_id},
    ).all()
    mine = [host.uuid for host in hosts if host.mine]
    storages = connection.execute(
        text(
            "SELECT s.uuid, s.name, s.type::text AS type, s.url, EXISTS (SELECT 1 "
            " FROM cluster_primary_storages a JOIN hosts h ON h.cluster_uuid = a.cluster_uuid "
            " WHERE a.primary_storage_uuid = s.uuid AND h.uuid = ANY(:mine) "
            " AND (s.host_uuid IS NULL OR s.host_uuid = h.uuid)) AS mine "
            "FROM primary_storages s WHERE s.initialized_at IS NOT NULL ORDER BY s.name"
        ),
        {"mine": mine},
    ).all()
    return Served(
        storages=[StorageRef(s.uuid, StorageType(s.type), s.url) for s in storages if s.mine],
        hosts=[
            HostRef(h.uuid, h.name, HypervisorType(h.type), h.libvirt_uri) for h in hosts if h.mine
        ],
        elsewhere=[
            *(f"host {h.name}: another machine serves it, or none" for h in hosts if not h.mine),
            *(f"primary storage {s.name}: no host here sees it" for s in storages if not s.mine),
        ],
    )


@dataclass(frozen=True, slots=True)
class Sum:
    """A stored number that is not what its rows add up to."""

    what: str
    uuid: str
    stored: int
    counted: int


def wrong_sums(connection: Connection) -> list[Sum]:
    """Capacities against reservations, counters against items; each pair in one statement."""
    return [
        Sum(what, row.uuid, row.stored, row.counted)
        for what, query in _SUMS.items()
        for row in connection.execute(text(query)).all()
        if row.stored != row.counted
    ]


def _capacity(kind: str, table: str, key: str, total: str, available: str) -> str:
    return (
        f"SELECT k.{key} AS uuid, k.{available} AS stored, GREATEST(0, k.{total} - "  # noqa: S608
        "COALESCE((SELECT sum(amount) FROM reservations r "
        f" WHERE r.kind = '{kind}' AND r.resource_uuid = k.{key}), 0))::bigint AS counted "
        f"FROM {table} k"
    )


_HOST = ("host_capacities", "host_uuid")
_SUMS = {
    "available CPU": _capacity("Cpu", *_HOST, "total_cpu", "available_cpu"),
    "available memory": _capacity("Memory", *_HOST, "total_memory", "available_memory"),
    "available storage": _capacity(
        "Storage",
        "storage_capacities",
        "primary_storage_uuid",
        "total_bytes",
        "available_bytes",
    ),
    "ended names": "SELECT c.job_uuid AS uuid, c.succeeded + c.failed + c.canceled AS stored, "
    "(SELECT count(*) FROM items i WHERE i.job_uuid = c.job_uuid "
    " AND (i.state IN ('Succeeded', 'Failed', 'Canceled') OR i.finished_at IS NOT NULL))::int "
    " AS counted FROM job_counters c",
}
# The stored value of each of the first three, to be set right.
_REPAIRS = {
    "available CPU": ("host_capacities", "host_uuid", "available_cpu"),
    "available memory": ("host_capacities", "host_uuid", "available_memory"),
    "available storage": ("storage_capacities", "primary_storage_uuid", "available_bytes"),
}


def repair_sum(connection: Connection, wrong: Sum) -> bool:
    """Set a capacity to what its rows add up to; False for what only people can judge."""
    if wrong.what not in _REPAIRS:
        return False
    table, key, column = _REPAIRS[wrong.what]
    connection.execute(
        text(f"SELECT 1 FROM {table} WHERE {key} = :uuid FOR UPDATE"),  # noqa: S608
        {"uuid": wrong.uuid},
    )
    counted = next(
        (s.counted for s in wrong_sums(connection) if (s.what, s.uuid) == (wrong.what, wrong.uuid)),
        None,
    )
    if counted is not None:
        connection.execute(
            text(f"UPDATE {table} SET {column} = :counted WHERE {key} = :uuid"),  # noqa: S608
            {"counted": counted, "uuid": wrong.uuid},
        )
    return True


@dataclass(frozen=True, slots=True)
class Loose:
    """A row that holds something for nobody."""

    what: str  # reservation or address
    uuid: str
    where: str
    amount: int | None = None


def loose_rows(connection: Connection) -> list[Loose]:
    return list(_loose(connection))


def _loose(connection: Connection) -> Iterator[Loose]:
    for row in connection.execute(
        text(
            "SELECT uuid, kind::text || ' of ' || resource_uuid AS place, amount FROM reservations "
            "WHERE holder_uuid NOT IN (SELECT uuid FROM vm_instances "
            "UNION ALL SELECT uuid FROM volumes UNION ALL SELECT uuid FROM bases "
            "UNION ALL SELECT disk->>'overlay_uuid' FROM source_snapshots, "
            " jsonb_array_elements(disks) AS disk)"
        )
    ).all():
        yield Loose("reservation", row.uuid, row.place, row.amount)
    for row in connection.execute(
        text("SELECT uuid, ip FROM used_ips WHERE vm_nic_uuid IS NULL")
    ).all():
        yield Loose("address", row.uuid, row.ip)


def give_back(connection: Connection, loose: Loose) -> None:
    if loose.what == "address":
        connection.execute(
            text("DELETE FROM used_ips WHERE uuid = :uuid AND vm_nic_uuid IS NULL"),
            {"uuid": loose.uuid},
        )
        return
    holders = connection.execute(
        text("SELECT holder_uuid FROM reservations WHERE uuid = :uuid"), {"uuid": loose.uuid}
    ).scalars()
    capacity.release(connection, list(holders))


@dataclass(frozen=True, slots=True)
class Guard:
    """The lock under which a thing is touched."""

    name: str  # the uuid that it is called by
    folder: str | None  # None: of no host that anybody serves


def guards_of(connection: Connection, uuid: str) -> list[Guard]:
    """Of a VM, volume or base: those of the items that make and remove it, or its own where none
    is known any more."""
    rows = connection.execute(
        text(
            "SELECT i.uuid, h.lock_folder FROM items i LEFT JOIN hosts h ON h.uuid = i.host_uuid "
            "WHERE i.vm_uuid = :uuid OR :uuid = ANY(i.volume_uuids) ORDER BY i.uuid"
        ),
        {"uuid": uuid},
    ).all()
    return [Guard(*row) for row in rows] or [Guard(uuid, None)]


def open_locks(connection: Connection, uuids: Sequence[str]) -> set[str]:
    """Which of these item and base set uuids are not at rest."""
    return set(
        connection.execute(
            text(
                "SELECT uuid FROM items WHERE uuid = ANY(:uuids) "
                "AND state NOT IN ('Succeeded', 'Failed', 'Canceled') "
                "UNION SELECT uuid FROM base_sets WHERE uuid = ANY(:uuids) "
                "AND (state IN ('Wanted', 'Making', 'Deleting') OR EXISTS (SELECT 1 "
                " FROM source_snapshots WHERE base_set_uuid = base_sets.uuid))"
            ),
            {"uuids": list(uuids)},
        ).scalars()
    )
