"""How things stand, in numbers for metrics: a handful of statements whose cost depends on what is
open and on how many hosts there are, never on how many names a job has or ever had."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

LIMIT_MS = 5000  # for each statement

_QUEUES = """
SELECT 'names_' || stage AS kind, sum(names)::bigint AS depth,
    max(oldest_age_seconds) AS oldest_age_s FROM reporting_v1.queue GROUP BY stage
UNION ALL SELECT 'jobs_' || lower(state::text), count(*),
    extract(epoch FROM clock_timestamp() - min(created_at))::float8
    FROM jobs WHERE state IN ('Accepted', 'Finishing') GROUP BY state
UNION ALL SELECT 'bases', count(*), extract(epoch FROM clock_timestamp() - min(created_at))::float8
    FROM base_sets WHERE state IN ('Wanted', 'Making')
UNION ALL SELECT 'webhooks', count(*),
    extract(epoch FROM clock_timestamp() - min(created_at))::float8
    FROM webhooks WHERE delivered_at IS NULL AND given_up_at IS NULL
"""
_COUNTS = {
    "open_jobs": "SELECT state::text, count(*) FROM jobs WHERE state <> 'Finished' GROUP BY state",
    "open_items": "SELECT state::text, count(*) FROM items WHERE state IN "
    "('Granted', 'Running', 'Made', 'RollingBack', 'Stranded') GROUP BY state",
    "hosts": "SELECT CASE WHEN state <> 'Enabled' THEN 'disabled' WHEN is_connected "
    "THEN 'connected' ELSE 'disconnected' END, count(*) FROM reporting_v1.host_capacity GROUP BY 1",
    "storages": "SELECT CASE WHEN state <> 'Enabled' THEN 'disabled' WHEN has_fault "
    "THEN 'faulty' ELSE 'usable' END, count(*) FROM reporting_v1.storage_capacity GROUP BY 1",
    "storage_bytes": "SELECT kind, sum(bytes)::bigint FROM reporting_v1.storage_capacity, "
    "LATERAL (VALUES ('reserved', reserved_bytes), ('available', available_bytes)) v(kind, bytes) "
    "GROUP BY kind",
}
_SLOTS = """
SELECT scope, sum(in_use)::bigint AS in_use,
    sum(COALESCE(limit_value, CASE scope WHEN 'host' THEN CAST(:host AS bigint)
        ELSE CAST(:storage AS bigint) END))::bigint
        AS slots
FROM reporting_v1.limit
WHERE (scope = 'host' AND limit_name = 'builds')
    OR (scope = 'primaryStorage' AND limit_name = 'fullCopies')
GROUP BY scope
"""


@dataclass(frozen=True, slots=True)
class Queue:
    depth: int
    oldest_age_s: float


@dataclass(frozen=True, slots=True)
class Slots:
    in_use: int
    limit: int


@dataclass(frozen=True, slots=True)
class Figures:
    totals: Mapping[str, Mapping[tuple[str, ...], float]]  # by name, then labels
    queues: Mapping[str, Queue]
    slots: Mapping[str, Slots]
    counts: Mapping[str, Mapping[str, int]]  # of `_COUNTS`
    sweeper_pass_age_s: float | None  # None: there was no pass yet


def load(connection: Connection, *, host_slots: int, storage_full_copies: int) -> Figures:
    """The settings stand for the limits that no row has."""
    connection.execute(text(f"SET LOCAL statement_timeout = {LIMIT_MS}"))
    totals: dict[str, dict[tuple[str, ...], float]] = {}
    for row in connection.execute(text("SELECT name, labels, value FROM totals")):
        totals.setdefault(row.name, {})[tuple(row.labels)] = row.value
    slots = {"host": host_slots, "storage": storage_full_copies}
    return Figures(
        totals=totals,
        queues={
            row.kind: Queue(row.depth, row.oldest_age_s or 0.0)
            for row in connection.execute(text(_QUEUES))
        },
        slots={
            row.scope: Slots(row.in_use, row.slots)
            for row in connection.execute(text(_SLOTS), slots)
        },
        counts={name: _pairs(connection, query) for name, query in _COUNTS.items()},
        sweeper_pass_age_s=connection.scalar(
            text(
                "SELECT extract(epoch FROM clock_timestamp() - passed_at)::float8 "
                "FROM sweeper_passes"
            )
        ),
    )


def _pairs(connection: Connection, query: str) -> dict[str, Any]:
    return {str(key): number for key, number in connection.execute(text(query))}
