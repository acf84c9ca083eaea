"""Items as they are shown: step, bytes, rate, wait reason, error. What is unknown is null."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.plan import CloneStrategy
from app.domain.states import ItemState
from app.domain.steps import StepName, steps_of
from app.store.shown import shown_error, shown_time
from app.store.views import ItemView, StepView

_ITEMS = """
SELECT i.uuid, i.ordinal, i.name, i.state::text, i.step::text, i.vm_uuid, i.host_uuid,
    h.name AS host_name, i.method::text, i.bytes_done, i.bytes_total, i.wait_reason::text,
    i.attempts, i.identity, i.error, i.started_at, i.finished_at,
    j.wait_reason::text AS job_wait_reason,
    i.plan->'steps' AS operation_steps, jsonb_array_length(i.plan->'volumes') AS volumes,
    i.plan->>'strategy' AS strategy,
    i.plan->'cdroms' <> '[]' OR i.plan->'tags' <> '[]'
        OR COALESCE(i.plan->'identity', 'null') <> 'null' AS customizes,
    CASE WHEN i.state = 'Running' AND i.lease_until > clock_timestamp() THEN i.bytes_per_s END
        AS bytes_per_s
FROM items i JOIN jobs j ON j.uuid = i.job_uuid LEFT JOIN hosts h ON h.uuid = i.host_uuid
WHERE i.job_uuid = :job AND """


def load_item(connection: Connection, job_uuid: str, item_uuid: str) -> ItemView | None:
    found = load_these(connection, job_uuid, [item_uuid])
    return found[0] if found else None


def load_these(connection: Connection, job_uuid: str, item_uuids: Sequence[str]) -> list[ItemView]:
    """In the order of their uuids as given."""
    rows = connection.execute(
        text(_ITEMS + "i.uuid = ANY(:uuids)"), {"job": job_uuid, "uuids": list(item_uuids)}
    ).all()
    found = {item["uuid"]: item for item in _with_steps(connection, rows)}
    return [found[uuid] for uuid in item_uuids if uuid in found]


def load_items(
    connection: Connection, job_uuid: str, *, after: int, limit: int, state: ItemState | None
) -> list[ItemView]:
    """In request order, from the ordinal after `after` (-1: from the first)."""
    rows = connection.execute(
        text(
            _ITEMS + "i.ordinal > :after "
            "AND (CAST(:state AS text) IS NULL OR i.state = CAST(:state AS item_state)) "
            "ORDER BY i.ordinal LIMIT :limit"
        ),
        {"job": job_uuid, "after": after, "limit": limit, "state": state},
    ).all()
    return _with_steps(connection, rows)


def _with_steps(connection: Connection, rows: Sequence[Row[Any]]) -> list[ItemView]:
    steps = _steps_of_items(connection, [row.uuid for row in rows])
    return [_item(row, steps[row.uuid]) for row in rows]


def _steps_of_items(connection: Connection, item_uuids: Sequence[str]) -> dict[str, list[StepView]]:
    steps: dict[str, list[StepView]] = defaultdict(list)
    for row in connection.execute(
        text("SELECT * FROM steps WHERE item_uuid = ANY(:uuids) ORDER BY item_uuid, name"),
        {"uuids": list(item_uuids)},
    ).all():
        steps[row.item_uuid].append(
            {
                "name": row.name,
                "attempt": row.attempt,
                "worker": row.worker,
                "startedAt": shown_time(row.started_at),
                "finishedAt": shown_time(row.finished_at),
                "undoneAt": shown_time(row.undone_at),
            }
        )
    return steps


def _item(row: Row[Any], steps: list[StepView]) -> ItemView:
    waits = row.wait_reason
    if waits is None and row.state == ItemState.WAITING:
        waits = row.job_wait_reason
    number, count = _step_place(row)
    return {
        "uuid": row.uuid,
        "ordinal": row.ordinal,
        "name": row.name,
        "state": row.state,
        "step": row.step,
        "stepNumber": number,
        "stepCount": count,
        "vmUuid": row.vm_uuid,
        "hostUuid": row.host_uuid,
        "hostName": row.host_name,
        "method": row.method,
        "bytesDone": row.bytes_done,
        "bytesTotal": row.bytes_total,
        "rateBytesPerSecond": row.bytes_per_s,
        "waitReason": waits,
        "attempts": row.attempts,
        "identity": row.identity,
        "startedAt": shown_time(row.started_at),
        "finishedAt": shown_time(row.finished_at),
        "error": shown_error(row.error),
        "steps": steps,
    }


def _step_place(row: Row[Any]) -> tuple[int | None, int | None]:
    """ "4 of 7": of the item's own steps, known once it was granted."""
    if row.step is None or (row.operation_steps is None and row.volumes is None):
        return None, None
    names = (
        tuple(map(StepName, row.operation_steps))
        if row.operation_steps is not None
        else steps_of(
            data_volumes=row.volumes > 1,
            customize=row.customizes,
            start=row.strategy == CloneStrategy.INSTANT_START,
        )
    )
    step = StepName(row.step)
    return (names.index(step) + 1 if step in names else None), len(names)
