"""What workers say about the hosts they serve: that they are there, and what storages look like."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import orjson
from sqlalchemy import Connection, text
from sqlmodel import col

from app.domain.plan import HostRef, HypervisorType, RunningDomain, StorageRef, StorageType
from app.store import capacity
from app.store.models import Cluster, Host, PrimaryStorage
from app.store.sql import select_columns

SEEN_WITHIN_S = 5.0  # a host whose worker said nothing for longer gets no grants
CONNECTED = (  # of the host `h`
    f"COALESCE(h.seen_at > clock_timestamp() - interval '{SEEN_WITHIN_S} seconds', FALSE)"
)
STORAGE_SEEN_WITHIN_S = 15.0  # of which its hosts' workers say something every three seconds
LOST_S = 60.0  # and for longer than this is taken for lost


@dataclass(frozen=True, slots=True)
class DeclaredHost:
    uuid: str
    name: str
    management_ip: str
    hypervisor_type: HypervisorType
    machine_id: str | None
    libvirt_uri: str | None

    @property
    def ref(self) -> HostRef:
        return HostRef(self.uuid, self.name, self.hypervisor_type, self.libvirt_uri)


def declared(connection: Connection) -> list[DeclaredHost]:
    rows = connection.execute(
        select_columns(
            Host.uuid,
            Host.name,
            Host.management_ip,
            Cluster.hypervisor_type,
            Host.machine_id,
            Host.libvirt_uri,
        ).join(Cluster, col(Cluster.uuid) == col(Host.cluster_uuid))
    ).all()
    return [DeclaredHost(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class HostWorker:
    machine_id: str
    lock_folder: str  # what touches one host's clones must share its locks
    processes: int


def beat(connection: Connection, host_uuids: Sequence[str], worker: HostWorker) -> set[str]:
    """Register this worker as the one that serves these hosts; those that it does. A host that
    another machine registered first is left out, and one that this machine serves with other
    locks, as long as that worker is there."""
    return set(
        connection.execute(
            text(
                "UPDATE hosts SET seen_at = clock_timestamp(), machine_id = :machine_id, "
                "lock_folder = :lock_folder, processes = :processes "
                "WHERE uuid = ANY(:uuids) AND COALESCE(machine_id = :machine_id, TRUE) "
                "AND (COALESCE(lock_folder = :lock_folder, TRUE) "
                " OR seen_at < clock_timestamp() - make_interval(secs => :lost_s)) "
                "RETURNING uuid"
            ),
            asdict(worker) | {"uuids": list(host_uuids), "lost_s": LOST_S},
        ).scalars()
    )


def ref(connection: Connection, host_uuid: str) -> HostRef:
    row = connection.execute(
        select_columns(Host.uuid, Host.name, Cluster.hypervisor_type, Host.libvirt_uri)
        .join(Cluster, col(Cluster.uuid) == col(Host.cluster_uuid))
        .where(col(Host.uuid) == host_uuid)
    ).one()
    return HostRef(row.uuid, row.name, HypervisorType(row.hypervisor_type), row.libvirt_uri)


def report_foreign(
    connection: Connection, host_uuid: str, running: Sequence[RunningDomain]
) -> None:
    """What runs there and is not vmclone's. VMs that the inventory knows hold their part of the
    host by reservations already."""
    known = connection.execute(
        text(
            "SELECT uuid, name FROM vm_instances WHERE uuid = ANY(:uuids) "
            "OR (origin = 'adopted' AND name = ANY(:names) "
            " AND COALESCE(host_uuid, last_host_uuid) = :host)"
        ),
        {
            "uuids": [domain.uuid for domain in running],
            "names": [domain.name for domain in running],
            "host": host_uuid,
        },
    ).all()
    uuids, names = {row.uuid for row in known}, {row.name for row in known}
    foreign = [d for d in running if d.uuid not in uuids and d.name not in names]
    connection.execute(
        text(
            "UPDATE hosts SET foreign_cpu = :cpu, foreign_memory = :memory WHERE uuid = :uuid "
            "AND (foreign_cpu, foreign_memory) IS DISTINCT FROM (:cpu, :memory)"
        ),
        {
            "uuid": host_uuid,
            "cpu": sum(domain.cpu for domain in foreign),
            "memory": sum(domain.memory for domain in foreign),
        },
    )


def report_runs(connection: Connection, host_uuid: str, runs: Collection[str]) -> None:
    """What the host can run, in the words of a source's needs."""
    connection.execute(
        text(
            "UPDATE hosts SET runs = CAST(:runs AS jsonb) "
            "WHERE uuid = :uuid AND runs IS DISTINCT FROM CAST(:runs AS jsonb)"
        ),
        {"uuid": host_uuid, "runs": orjson.dumps(sorted(runs)).decode()},
    )


@dataclass(frozen=True, slots=True)
class SeenStorage:
    ref: StorageRef
    initialized: bool


def storages_of(connection: Connection, host_uuids: Sequence[str]) -> list[SeenStorage]:
    """The storages that these hosts see."""
    rows = connection.execute(
        select_columns(
            PrimaryStorage.uuid,
            PrimaryStorage.type,
            PrimaryStorage.url,
            PrimaryStorage.initialized_at,
        ).where(
            text(
                "primary_storages.uuid IN (SELECT a.primary_storage_uuid "
                "FROM cluster_primary_storages a "
                "JOIN hosts h ON h.cluster_uuid = a.cluster_uuid "
                "WHERE h.uuid = ANY(:hosts) AND (primary_storages.host_uuid IS NULL "
                "OR primary_storages.host_uuid = h.uuid))"
            ).bindparams(hosts=list(host_uuids))
        )
    ).all()
    return [
        SeenStorage(
            StorageRef(row.uuid, StorageType(row.type), row.url), row.initialized_at is not None
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class StorageReport:
    storage_uuid: str
    total_bytes: int
    free_bytes: int
    file_system_id: str
    reflink: bool


def report_storage(connection: Connection, report: StorageReport) -> None:
    """Its marker is there and it can be used."""
    declared_bytes = connection.execute(
        text(
            "UPDATE primary_storages SET seen_at = clock_timestamp(), "
            "fault = NULL, fault_since = NULL, "
            "initialized_at = COALESCE(initialized_at, clock_timestamp()), "
            "physical_total = :total, physical_free = :free, file_system_id = :fsid, "
            "reflink = :reflink WHERE uuid = :uuid RETURNING declared_bytes"
        ),
        {
            "uuid": report.storage_uuid,
            "total": report.total_bytes,
            "free": report.free_bytes,
            "fsid": report.file_system_id,
            "reflink": report.reflink,
        },
    ).one_or_none()
    if declared_bytes is not None:
        capacity.set_storage_total(
            connection, report.storage_uuid, declared_bytes[0] or report.total_bytes
        )


def report_fault(connection: Connection, storage_uuid: str, fault: str) -> None:
    connection.execute(
        text(
            "UPDATE primary_storages SET seen_at = clock_timestamp(), fault = :fault, "
            "fault_since = COALESCE(fault_since, clock_timestamp()) "
            "WHERE uuid = :uuid"
        ),
        {"uuid": storage_uuid, "fault": fault},
    )
