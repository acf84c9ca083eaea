"""Hosts, primary storages and address ranges with what is used and what is left, for people.

What is left is what the scheduler sees (`world`), so that nobody is told of room that no clone
would be given.
"""

import ipaddress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.placement import Candidate
from app.settings import Settings
from app.store import shares, views, world
from app.store.shown import shown_time
from app.store.views import HostView, IpRangeView, PrimaryStorageView
from app.store.world import Defaults, StorageView, World

_LARGEST_COUNT = 2**53 - 1  # more is no exact number in a browser


def load_hosts(connection: Connection, settings: Settings) -> list[HostView]:
    """By name. CPUs and memory are over-provisioned ones; what others run on the host is used."""
    candidates = {
        candidate.uuid: candidate for candidate in _world(connection, settings).candidates
    }
    rows = connection.execute(
        text(
            "SELECT h.uuid, h.name, c.name AS cluster, c.hypervisor_type::text AS hypervisor_type, "
            "h.state::text AS state, h.seen_at, k.total_cpu, k.total_memory "
            "FROM hosts h JOIN clusters c ON c.uuid = h.cluster_uuid "
            "JOIN host_capacities k ON k.host_uuid = h.uuid ORDER BY h.name"
        )
    ).all()
    return [_host(row, candidates[row.uuid]) for row in rows if row.uuid in candidates]


def load_primary_storages(connection: Connection, settings: Settings) -> list[PrimaryStorageView]:
    """By name. Used is what its file system holds, reserved what volumes and bases of ours were
    promised, available what a new one could have; before a worker saw it used is null."""
    storages = _world(connection, settings).storages
    rows = connection.execute(
        text(
            "SELECT s.uuid, s.state::text AS state, s.seen_at, s.physical_total, s.physical_free, "
            "k.total_bytes, k.available_bytes FROM primary_storages s "
            "JOIN storage_capacities k ON k.primary_storage_uuid = s.uuid ORDER BY s.name"
        )
    ).all()
    return [_storage(row, storages[row.uuid]) for row in rows if row.uuid in storages]


def load_ip_ranges(connection: Connection, *, account_uuid: str | None) -> list[IpRangeView]:
    """By network and address; of the networks shared with the account, None sees all. Used are
    addresses that a NIC has, whoever gave it to it; `total` is null past 2^53."""
    rows = connection.execute(
        text(
            "SELECT r.uuid, r.l3_network_uuid, l.name AS l3_network, r.start_ip, r.end_ip, "  # noqa: S608
            "(SELECT count(*) FROM used_ips u WHERE u.l3_network_uuid = r.l3_network_uuid "
            " AND u.ip_version = r.ip_version AND CASE r.ip_version "
            " WHEN 4 THEN u.ip_in_long BETWEEN r.start_ip_in_long AND r.end_ip_in_long "
            " ELSE inet(u.ip) BETWEEN inet(r.start_ip) AND inet(r.end_ip) END) AS used "
            "FROM ip_ranges r JOIN l3_networks l ON l.uuid = r.l3_network_uuid "
            "WHERE CAST(:account AS text) IS NULL "
            f"OR {shares.visible('L3NetworkVO', 'l.uuid', ':account')} "
            "ORDER BY l.name, r.ip_version, inet(r.start_ip)"
        ),
        {"account": account_uuid},
    ).all()
    return [_range(row) for row in rows]


def _world(connection: Connection, settings: Settings) -> World:
    return world.load(
        connection, defaults=Defaults.of(settings), keep_free=settings.storage_keep_free
    )


def _host(row: Row[Any], candidate: Candidate) -> HostView:
    return {
        "uuid": row.uuid,
        "name": row.name,
        "cluster": row.cluster,
        "hypervisorType": row.hypervisor_type,
        "state": row.state,
        "status": _status(row.seen_at, connected=candidate.connected),
        "seenAt": shown_time(row.seen_at),
        "cpuTotal": row.total_cpu,
        "cpuUsed": row.total_cpu - candidate.free_cpu,
        "memoryTotalBytes": row.total_memory,
        "memoryUsedBytes": row.total_memory - candidate.free_memory,
        "slots": candidate.builds.limit,
        "slotsUsed": sum(candidate.builds.taken.values()),
    }


def _storage(row: Row[Any], view: StorageView) -> PrimaryStorageView:
    seen = row.physical_total is not None and row.physical_free is not None
    return {
        "uuid": row.uuid,
        "name": view.name,
        "type": view.ref.type,
        "url": view.ref.url,
        "state": row.state,
        "status": _status(row.seen_at, connected=view.fault is None),
        "fault": view.fault,
        "totalBytes": row.total_bytes,
        "usedBytes": row.physical_total - row.physical_free if seen else None,
        "reservedBytes": row.total_bytes - row.available_bytes,
        "availableBytes": max(0, min(view.available, view.headroom.free)),
        "fullCopies": sum(view.copies.taken.values()),
        "fullCopiesLimit": view.copies.limit,
    }


def _status(seen_at: datetime | None, *, connected: bool) -> views.Connection:
    """ZStack's words."""
    if seen_at is None:
        return "Connecting"
    return "Connected" if connected else "Disconnected"


def _range(row: Row[Any]) -> IpRangeView:
    first, last = ipaddress.ip_address(row.start_ip), ipaddress.ip_address(row.end_ip)
    total = int(last) - int(first) + 1
    return {
        "uuid": row.uuid,
        "l3NetworkUuid": row.l3_network_uuid,
        "l3Network": row.l3_network,
        "startIp": row.start_ip,
        "endIp": row.end_ip,
        "total": total if total <= _LARGEST_COUNT else None,
        "used": row.used,
    }
