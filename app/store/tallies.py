"""Counts what ended: by the hour for reports, and in all for metrics.

Whoever ends an item does not count it here. The event that its last transaction writes anyway is
read afterwards, in batches, by one reader at a time; the numbers and the place of the last event
are one transaction, so each end is counted once, whatever dies in between. What was counted stays
when the jobs themselves are deleted.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.buckets import STEP_BUCKETS_S

BATCH = 1000
KEPT_DAYS = 400  # of hourly numbers: thirteen months

# Below the oldest transaction that is under way, so that none comes later with a lower place.
_EVENTS = """
SELECT e.xid, e.id, e.job_uuid, e.item_uuid, e.kind
FROM events e, (SELECT xid, event_id FROM tally_cursors FOR UPDATE SKIP LOCKED) c
WHERE (e.xid, e.id) > (c.xid, c.event_id)
  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY e.xid, e.id LIMIT :batch
"""
_HOUR = "date_trunc('hour', {moment}, 'UTC') AS hour"
# What really happened is the innermost cause.
_INNERMOST = (
    "COALESCE(error #>> '{cause,cause,cause,code}', error #>> '{cause,cause,code}', "
    "error #>> '{cause,code}', error ->> 'code', '')"
)
_ITEMS = f"""
SELECT {_HOUR.format(moment="COALESCE(i.finished_at, clock_timestamp())")},
    j.account_uuid, i.kind::text AS kind, ended.outcome, COALESCE(i.method::text, '') AS method,
    CASE ended.outcome WHEN 'Succeeded' THEN '' ELSE {_INNERMOST.replace("error", "i.error")} END
        AS error_code,
    CASE ended.outcome WHEN 'Succeeded' THEN '' ELSE COALESCE(i.step::text, '') END AS failed_step,
    count(*) AS items, sum(i.bytes_done)::bigint AS copied_bytes,
    sum(GREATEST(i.attempts - 1, 0)) AS retries,
    sum(extract(epoch FROM COALESCE(i.started_at, i.finished_at, clock_timestamp())
        - j.created_at))::float8 AS wait_s,
    COALESCE(sum(extract(epoch FROM i.finished_at - i.started_at)), 0)::float8 AS run_s
FROM unnest(CAST(:uuids AS text[]), CAST(:outcomes AS text[])) AS ended(uuid, outcome)
JOIN items i ON i.uuid = ended.uuid JOIN jobs j ON j.uuid = i.job_uuid
GROUP BY 1, 2, 3, 4, 5, 6, 7
"""  # noqa: S608
# A stranded name is counted when it strands: steps that are undone later count as succeeded.
_STEPS = f"""
SELECT {_HOUR.format(moment="finished_at")}, name::text AS step,
    CASE WHEN undone_at IS NULL THEN 'succeeded' ELSE 'undone' END AS result,
    (CAST(:bounds AS float8[]))[width_bucket(took.seconds - 1e-7, CAST(:bounds AS float8[])) + 1]
        AS up_to_s,
    count(*) AS steps, sum(took.seconds) AS duration_s
FROM steps, LATERAL (SELECT extract(epoch FROM finished_at - started_at)::float8 AS seconds) took
WHERE item_uuid = ANY(:uuids)
GROUP BY 1, 2, 3, 4
"""  # noqa: S608
_JOBS = f"""
SELECT {_HOUR.format(moment="finished_at")}, account_uuid, kind::text AS kind,
    outcome::text AS outcome, count(*) AS jobs,
    sum(extract(epoch FROM COALESCE(started_at, finished_at) - created_at))::float8 AS wait_s,
    COALESCE(sum(extract(epoch FROM finished_at - started_at)), 0)::float8 AS run_s
FROM jobs WHERE uuid = ANY(:uuids) AND finished_at IS NOT NULL AND account_uuid IS NOT NULL
GROUP BY 1, 2, 3, 4
"""  # noqa: S608
_ENDS = {f"item.{state.lower()}": state for state in ("Succeeded", "Failed", "Canceled")}

Totals = Counter[tuple[str, tuple[str, ...]]]


def count_ended(connection: Connection) -> bool:
    """The next batch of ends is counted; True while there may be more. False too while somebody
    else is at it."""
    events = connection.execute(text(_EVENTS), {"batch": BATCH}).all()
    if not events:
        return False
    totals: Totals = Counter()
    _count_items(connection, [e for e in events if e.kind in _ENDS], totals)
    _count_jobs(connection, [e.job_uuid for e in events if e.kind == "job.finished"], totals)
    add(connection, totals)
    connection.execute(
        text("UPDATE tally_cursors SET xid = :xid, event_id = :id"),
        {"xid": events[-1].xid, "id": events[-1].id},
    )
    return len(events) == BATCH


def add(connection: Connection, totals: Totals) -> None:
    """The totals grow by these. Rows are taken in one order, so that two never wait for each
    other."""
    grown = [
        {"name": name, "labels": list(labels), "value": value}
        for (name, labels), value in sorted(totals.items())
        if value
    ]
    if grown:
        connection.execute(
            text(
                "INSERT INTO totals AS t (name, labels, value) VALUES (:name, :labels, :value) "
                "ON CONFLICT (name, labels) DO UPDATE SET value = t.value + excluded.value"
            ),
            grown,
        )


def forget_old_hours(connection: Connection) -> None:
    for table in ("hourly_jobs", "hourly_items", "hourly_steps"):
        connection.execute(
            text(f"DELETE FROM {table} WHERE hour < now() - make_interval(days => :days)"),  # noqa: S608
            {"days": KEPT_DAYS},
        )


def _count_items(connection: Connection, ends: Sequence[Row[Any]], totals: Totals) -> None:
    if not ends:
        return
    uuids = [end.item_uuid for end in ends]
    rows = connection.execute(
        text(_ITEMS), {"uuids": uuids, "outcomes": [_ENDS[end.kind] for end in ends]}
    ).all()
    for row in rows:
        totals["items", (row.kind, row.outcome, row.method)] += row.items
        totals["copied_bytes", (row.method,)] += row.copied_bytes
        totals["item_retries", ()] += row.retries
        if row.error_code:
            totals["item_errors", (row.error_code, row.failed_step)] += row.items
    _add_to_hours(
        connection,
        "hourly_items",
        "hour account_uuid kind outcome method error_code failed_step",
        "items copied_bytes wait_s run_s",
        rows,
    )
    _count_steps(connection, uuids, totals)


def _count_steps(connection: Connection, item_uuids: Sequence[str], totals: Totals) -> None:
    bounds = [*STEP_BUCKETS_S, float("inf")]
    rows = connection.execute(text(_STEPS), {"uuids": item_uuids, "bounds": bounds}).all()
    for row in rows:
        totals["steps", (row.step, row.result, str(row.up_to_s))] += row.steps
        totals["step_seconds", (row.step, row.result)] += row.duration_s
    _add_to_hours(connection, "hourly_steps", "hour step result up_to_s", "steps duration_s", rows)


def _count_jobs(connection: Connection, uuids: Sequence[str], totals: Totals) -> None:
    if not uuids:
        return
    rows = connection.execute(text(_JOBS), {"uuids": uuids}).all()
    for row in rows:
        totals["jobs", (row.kind, row.outcome)] += row.jobs
    _add_to_hours(
        connection, "hourly_jobs", "hour account_uuid kind outcome", "jobs wait_s run_s", rows
    )
    forget_old_hours(connection)


def _add_to_hours(
    connection: Connection, table: str, keys: str, numbers: str, rows: Sequence[Row[Any]]
) -> None:
    columns = [*keys.split(), *numbers.split()]
    values = [{column: getattr(row, column) for column in columns} for row in rows]
    if values:
        grown = ", ".join(f"{n} = t.{n} + excluded.{n}" for n in numbers.split())
        connection.execute(
            text(
                f"INSERT INTO {table} AS t ({', '.join(columns)}) "  # noqa: S608
                f"VALUES ({', '.join(f':{column}' for column in columns)}) "
                f"ON CONFLICT ({', '.join(keys.split())}) DO UPDATE SET {grown}"
            ),
            values,
        )
