"""Which hosts could take a VM, and how much CPU and memory there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.store.hosts import CONNECTED


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a VM needs of its host; None and empty: anything."""

    cpu: int = 0
    memory: int = 0  # bytes
    zone_uuid: str | None = None
    cluster_uuid: str | None = None
    host_uuid: str | None = None
    l3_network_uuids: Sequence[str] = ()


def hosts_for(connection: Connection, wanted: Wanted) -> list[str]:
    """Enabled, connected ones with room that reach the networks."""
    rows = connection.execute(
        text(
            "SELECT h.uuid "  # noqa: S608
            "FROM hosts h JOIN clusters c ON c.uuid = h.cluster_uuid "
            "JOIN host_capacities k ON k.host_uuid = h.uuid "
            "WHERE h.state = 'Enabled' AND c.state = 'Enabled' "
            f"AND {CONNECTED} "
            "AND k.available_cpu - h.foreign_cpu >= :cpu "
            "AND k.available_memory - h.foreign_memory >= :memory "
            "AND (CAST(:zone AS text) IS NULL OR c.zone_uuid = :zone) "
            "AND (CAST(:cluster AS text) IS NULL OR c.uuid = :cluster) "
            "AND (CAST(:host AS text) IS NULL OR h.uuid = :host) "
            "AND CAST(:l3s AS text[]) <@ ARRAY(SELECT a.l3_network_uuid::text "
            " FROM cluster_l3_networks a WHERE a.cluster_uuid = c.uuid) ORDER BY h.name"
        ),
        {
            "cpu": wanted.cpu,
            "memory": wanted.memory,
            "zone": wanted.zone_uuid,
            "cluster": wanted.cluster_uuid,
            "host": wanted.host_uuid,
            "l3s": list(wanted.l3_network_uuids),
        },
    )
    return list(rows.scalars())


def wanted_by(connection: Connection, vm_uuid: str, account_uuid: str | None) -> Wanted | None:
    """What a VM of the account needs to start, None where there is none; a VM with a domain starts
    on the host that has it. `account_uuid` None sees all."""
    row = connection.execute(
        text(
            "SELECT cpu_num, memory_size, account_uuid, "
            "COALESCE(host_uuid, last_host_uuid) AS host, zone_uuid FROM vm_instances "
            "WHERE uuid = :uuid"
        ),
        {"uuid": vm_uuid},
    ).one_or_none()
    if row is None or account_uuid not in (None, row.account_uuid):
        return None
    return Wanted(row.cpu_num, row.memory_size, zone_uuid=row.zone_uuid, host_uuid=row.host)


def cpu_and_memory(connection: Connection, scope: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Summed over the hosts of these zones, clusters and hosts; over all where none is named."""
    row = connection.execute(
        text(
            'SELECT COALESCE(sum(k.total_cpu), 0)::bigint AS "totalCpu", '
            "COALESCE(sum(greatest(k.available_cpu - h.foreign_cpu, 0)), 0)::bigint "
            ' AS "availableCpu", '
            'COALESCE(sum(k.total_memory), 0)::bigint AS "totalMemory", '
            "COALESCE(sum(greatest(k.available_memory - h.foreign_memory, 0)), 0)::bigint "
            ' AS "availableMemory", COALESCE(sum(h.cpu_num), 0)::bigint AS "managedCpuNum" '
            "FROM hosts h JOIN clusters c ON c.uuid = h.cluster_uuid "
            "JOIN host_capacities k ON k.host_uuid = h.uuid WHERE (:everything "
            "OR c.zone_uuid = ANY(:zones) OR c.uuid = ANY(:clusters) OR h.uuid = ANY(:hosts))"
        ),
        {"everything": not any(scope.values())} | {name: list(v) for name, v in scope.items()},
    ).one()
    return dict(row._mapping)
