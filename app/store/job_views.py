"""Jobs and items as they are shown: counts, bytes, wait reasons, steps. What is unknown is null."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.plan import CloneStrategy
from app.domain.states import ItemState
from app.domain.steps import StepName, steps_of

_JOBS = """
SELECT j.*, a.name AS account_name, c.total, c.succeeded, c.failed, c.canceled,
    c.bytes_done AS bytes_ended, o.running, o.bytes_running, o.bytes_open_total, o.retrying,
    extract(epoch FROM COALESCE(j.finished_at, clock_timestamp()) - j.started_at)::float8
        AS elapsed_s, d.created_at AS snapshot_at, d.error AS snapshot_error
FROM jobs j LEFT JOIN accounts a ON a.uuid = j.account_uuid
LEFT JOIN source_snapshots d ON d.base_set_uuid = j.base_set_uuid AND d.paid_at IS NULL
LEFT JOIN job_counters c ON c.job_uuid = j.uuid
LEFT JOIN LATERAL (
    SELECT count(*) AS running, coalesce(sum(bytes_done), 0)::bigint AS bytes_running,
        sum(bytes_total)::bigint AS bytes_open_total, count(wait_reason) AS retrying
    FROM items WHERE job_uuid = j.uuid
        AND state IN ('Granted', 'Running', 'Made', 'RollingBack')
) o ON TRUE
"""
_JOB = _JOBS + "WHERE j.uuid = :uuid AND j.kind <> 'api'"
# Newest first; the cursor is the last job of the page before.
_PAGE = (
    _JOBS  # noqa: S608
    + """
WHERE (CAST(:account_uuid AS text) IS NULL OR j.account_uuid = :account_uuid)
  AND j.kind <> 'api'
  AND (CAST(:account_name AS text) IS NULL OR a.name = :account_name)
  AND (CAST(:state AS text) IS NULL OR j.state::text = :state)
  AND (CAST(:outcome AS text) IS NULL OR j.outcome::text = :outcome)
  AND (CAST(:vm_instance_uuid AS text) IS NULL OR j.vm_instance_uuid = :vm_instance_uuid)
  AND (CAST(:cursor AS text) IS NULL OR (j.created_at, j.uuid) <
    (SELECT c.created_at, c.uuid FROM jobs c WHERE c.uuid = :cursor))
ORDER BY j.created_at DESC, j.uuid DESC LIMIT :limit
"""
)


def load_job(
    connection: Connection, job_uuid: str, *, account_uuid: str | None
) -> dict[str, Any] | None:
    """camelCase members; `account_uuid` None sees all."""
    row = connection.execute(text(_JOB), {"uuid": job_uuid}).one_or_none()
    if row is None or account_uuid not in (None, row.account_uuid):
        return None
    return _job(row)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """None: any."""

    account_uuid: str | None = None
    account_name: str | None = None
    state: str | None = None
    outcome: str | None = None
    vm_instance_uuid: str | None = None


def load_jobs(
    connection: Connection, wanted: JobFilter, *, cursor: str | None, limit: int
) -> list[dict[str, Any]]:
    """Newest first, from the job after `cursor`."""
    rows = connection.execute(
        text(_PAGE), asdict(wanted) | {"cursor": cursor, "limit": limit}
    ).all()
    return [_job(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Failed:
    """What a retry needs of a finished job."""

    names: list[str]  # those that were not cloned, in request order
    request: dict[str, Any]
    policy: dict[str, Any] | None


def load_failed(connection: Connection, job_uuid: str) -> Failed:
    job = connection.execute(
        text("SELECT request, policy, requested FROM jobs WHERE uuid = :uuid"), {"uuid": job_uuid}
    ).one()
    rows = connection.execute(
        text("SELECT name, state::text FROM items WHERE job_uuid = :uuid ORDER BY ordinal"),
        {"uuid": job_uuid},
    ).all()
    names = [row.name for row in rows if row.state != ItemState.SUCCEEDED]
    # Refused before it had items: none of its names was cloned.
    return Failed(names if rows else list(job.request["names"]), job.request, job.policy)


def _job(row: Row[Any]) -> dict[str, Any]:
    total = row.total if row.total is not None else row.requested
    ended = (row.succeeded or 0) + (row.failed or 0) + (row.canceled or 0)
    waiting = total - ended - row.running if row.state != "Finished" else 0
    bytes_done = (row.bytes_ended or 0) + row.bytes_running
    return {
        "uuid": row.uuid,
        "kind": row.kind,
        "state": row.state,
        "outcome": row.outcome,
        "vmInstanceUuid": row.vm_instance_uuid,
        "account": row.account_name,
        "total": total,
        "waiting": waiting,
        "running": row.running,
        "succeeded": row.succeeded or 0,
        "failed": row.failed or 0,
        "canceled": row.canceled or 0,
        "bytesDone": bytes_done,
        "bytesTotal": _bytes_total(row, ended, total),
        "rateBytesPerSecond": _rate(bytes_done, row.elapsed_s),
        "etaSeconds": _eta(row, ended, total),
        "waitReasons": _wait_reasons(row, waiting),
        "consistency": row.consistency,
        "sourceSnapshot": _snapshot(row),
        "priority": row.priority,
        "policy": row.policy or {"onFailure": "keep", "maxFailures": None},
        "ignored": row.ignored or [],
        "notes": row.notes or [],
        "createdAt": _time(row.created_at),
        "startedAt": _time(row.started_at),
        "finishedAt": _time(row.finished_at),
        "deadlineAt": _time(row.deadline_at),
        "error": row.error,
        "retryOf": row.retry_of,
    }


def _snapshot(row: Row[Any]) -> dict[str, Any] | None:
    """What still holds the running source still: the job ends when the source is put back."""
    if row.snapshot_at is None:
        return None
    return {"since": _time(row.snapshot_at), "error": row.snapshot_error}


def _bytes_total(row: Row[Any], ended: int, total: int) -> int | None:
    """Known once every name has ended or been granted."""
    if row.total is None or ended + row.running < total:
        return None
    return int((row.bytes_ended or 0) + (row.bytes_open_total or 0))


def _rate(bytes_done: int, elapsed_s: float | None) -> int | None:
    return int(bytes_done / elapsed_s) if bytes_done and elapsed_s else None


def _eta(row: Row[Any], ended: int, total: int) -> float | None:
    """By the pace of the names that have ended."""
    if row.state != "Running" or not ended or not row.elapsed_s:
        return None
    return round(float(row.elapsed_s * (total - ended) / ended), 1)


def _wait_reasons(row: Row[Any], waiting: int) -> dict[str, int]:
    reasons: dict[str, int] = {}
    if waiting and row.wait_reason:
        reasons[row.wait_reason] = waiting
    if row.retrying:
        reasons["retry"] = reasons.get("retry", 0) + row.retrying
    return reasons


def load_item(connection: Connection, job_uuid: str, item_uuid: str) -> dict[str, Any] | None:
    row = connection.execute(
        text(
            "SELECT i.*, j.wait_reason::text AS job_wait_reason FROM items i "
            "JOIN jobs j ON j.uuid = i.job_uuid WHERE i.job_uuid = :job AND i.uuid = :uuid"
        ),
        {"job": job_uuid, "uuid": item_uuid},
    ).one_or_none()
    return _item(row, _steps_of_items(connection, [item_uuid])[item_uuid]) if row else None


def load_items(
    connection: Connection, job_uuid: str, *, after: int, limit: int, state: ItemState | None
) -> list[dict[str, Any]]:
    """In request order, from the ordinal after `after` (-1: from the first)."""
    rows = connection.execute(
        text(
            "SELECT i.*, j.wait_reason::text AS job_wait_reason FROM items i "
            "JOIN jobs j ON j.uuid = i.job_uuid WHERE i.job_uuid = :job AND i.ordinal > :after "
            "AND (CAST(:state AS text) IS NULL OR i.state::text = :state) "
            "ORDER BY i.ordinal LIMIT :limit"
        ),
        {"job": job_uuid, "after": after, "limit": limit, "state": state},
    ).all()
    steps = _steps_of_items(connection, [row.uuid for row in rows])
    return [_item(row, steps[row.uuid]) for row in rows]


def _steps_of_items(
    connection: Connection, item_uuids: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    steps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(
        text("SELECT * FROM steps WHERE item_uuid = ANY(:uuids) ORDER BY item_uuid, name"),
        {"uuids": list(item_uuids)},
    ).all():
        steps[row.item_uuid].append(
            {
                "name": row.name,
                "attempt": row.attempt,
                "worker": row.worker,
                "startedAt": _time(row.started_at),
                "finishedAt": _time(row.finished_at),
                "undoneAt": _time(row.undone_at),
            }
        )
    return steps


def _item(row: Row[Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    waits = row.wait_reason
    if waits is None and row.state == "Waiting":
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
        "method": row.method,
        "bytesDone": row.bytes_done,
        "bytesTotal": row.bytes_total,
        "waitReason": waits,
        "attempts": row.attempts,
        "identity": row.identity,
        "error": row.error,
        "steps": steps,
    }


def _step_place(row: Row[Any]) -> tuple[int | None, int | None]:
    """ "4 of 7": of the item's own steps, known once it was granted."""
    if row.plan is None or row.step is None:
        return None, None
    names = (
        tuple(map(StepName, row.plan["steps"]))
        if "operation" in row.plan
        else steps_of(
            data_volumes=len(row.plan["volumes"]) > 1,
            customize=bool(row.plan["cdroms"] or row.plan["tags"] or row.plan.get("identity")),
            start=row.plan["strategy"] == CloneStrategy.INSTANT_START,
        )
    )
    step = StepName(row.step)
    return (names.index(step) + 1 if step in names else None), len(names)


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
