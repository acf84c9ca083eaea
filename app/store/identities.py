"""Which new clones' guests are still to be asked who they are, and what they said.

That comes after an item's end and costs its way nothing: the end sets when the guest is asked
first, and an index has those that are to be asked alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, text

from app.domain.guest import Identity
from app.domain.plan import ClonePlan
from app.store.codec import plan_from_json


@dataclass(frozen=True, slots=True)
class DueGuest:
    item_uuid: str
    plan: ClonePlan
    late: bool  # past the limit: what it says now stands
    gone: bool  # its VM was destroyed meanwhile


def due(
    connection: Connection, host_uuids: Sequence[str], *, limit_s: float, most: int
) -> list[DueGuest]:
    """Of these hosts, those that have waited longest first."""
    rows = connection.execute(
        text(
            "SELECT i.uuid, i.plan, "
            "i.finished_at + make_interval(secs => :limit_s) <= clock_timestamp() AS late, "
            "v.uuid IS NULL OR v.destroyed_at IS NOT NULL AS gone "
            "FROM (SELECT uuid, plan, vm_uuid, finished_at, identity_due_at FROM items "
            " WHERE host_uuid = ANY(:hosts) AND state = 'Succeeded' "
            " AND identity_due_at IS NOT NULL AND identity_due_at <= clock_timestamp() "
            " ORDER BY identity_due_at LIMIT :most) i "
            "LEFT JOIN vm_instances v ON v.uuid = i.vm_uuid ORDER BY i.identity_due_at"
        ),
        {"hosts": list(host_uuids), "limit_s": limit_s, "most": most},
    ).all()
    found = [(row, plan_from_json(row.plan)) for row in rows]
    return [
        DueGuest(row.uuid, plan, row.late, row.gone)
        for row, plan in found
        if isinstance(plan, ClonePlan)
    ]


def record(connection: Connection, said: Mapping[str, Identity | None], *, limit_s: float) -> None:
    """By item; those with None are asked again, ever more seldom, and once at the limit."""
    answers = [{"uuid": uuid, "identity": identity} for uuid, identity in said.items()]
    connection.execute(
        text(
            "WITH asked AS (UPDATE items SET identity = said.identity, identity_due_at = CASE "
            "WHEN said.identity IS NULL THEN clock_timestamp() + GREATEST("
            " interval '1 second', LEAST(interval '30 seconds', "
            "  (clock_timestamp() - finished_at) / 4, "
            "  finished_at + make_interval(secs => :limit_s) - clock_timestamp())) END "
            "FROM jsonb_to_recordset(CAST(:answers AS jsonb)) AS said(uuid text, identity text) "
            "WHERE items.uuid = said.uuid AND items.identity_due_at IS NOT NULL "
            "RETURNING items.uuid, job_uuid, items.identity) "
            "INSERT INTO events (job_uuid, item_uuid, kind) "
            "SELECT job_uuid, uuid, 'item.identified' FROM asked WHERE identity IS NOT NULL"
        ),
        {"answers": orjson.dumps(answers).decode(), "limit_s": limit_s},
    )
