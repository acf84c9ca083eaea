"""Jobs as they are shown: counts, bytes, rate and what is left. What is unknown is null."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.pace import Eta, Pace, eta_of, rate_of
from app.domain.states import ItemState, JobState
from app.store.shown import shown_error, shown_time
from app.store.views import JobView, Policy, SnapshotView

# What of the last names that ended counts as "lately", and how many are looked at for it.
WINDOW_S = 5
MOST_RECENT = 200
# Without the request, whose names may be ten thousand. Open items and the last events are found by
# an index each; a stranded name whose undo is tried again has been counted as failed already. A
# name's bytes count lately by the share of its run that lies in the window.
_JOBS = f"""
SELECT j.*, a.name AS account_name, c.total, c.succeeded, c.failed, c.canceled,
    c.bytes_done AS bytes_ended, o.*, r.*,
    extract(epoch FROM clock_timestamp() - j.started_at)::float8 AS elapsed_s,
    d.created_at AS snapshot_at, d.error AS snapshot_error,
    (SELECT uuid FROM jobs again WHERE again.retry_of = j.uuid ORDER BY created_at DESC LIMIT 1)
        AS retried_as
FROM (
    SELECT uuid, kind::text, state::text, outcome::text, account_uuid, vm_instance_uuid, requested,
        wait_reason::text, consistency, priority, policy, ignored, notes, created_at, started_at,
        finished_at, deadline_at, paused_at, cancel_requested_at, error, retry_of, base_set_uuid
    FROM jobs WHERE {{which}}
) j
LEFT JOIN accounts a ON a.uuid = j.account_uuid
LEFT JOIN source_snapshots d ON d.base_set_uuid = j.base_set_uuid AND d.paid_at IS NULL
LEFT JOIN job_counters c ON c.job_uuid = j.uuid
LEFT JOIN LATERAL (
    SELECT count(*) AS running, count(wait_reason) AS retrying,
        coalesce(sum(bytes_done) FILTER (WHERE state <> 'RollingBack'), 0)::bigint
            AS bytes_running,
        (sum(bytes_total) FILTER (WHERE state <> 'RollingBack'))::bigint AS bytes_open_total,
        (sum(bytes_per_s) FILTER (WHERE state = 'Running' AND lease_until > clock_timestamp()))
            ::bigint AS copying_per_s,
        sum(CASE WHEN state = 'Made' THEN 1
            WHEN state = 'Running' AND bytes_total > 0
                THEN LEAST(1, bytes_done::float8 / bytes_total) ELSE 0 END)::float8 AS names_begun
    FROM items WHERE job_uuid = j.uuid AND finished_at IS NULL
        AND state IN ('Granted', 'Running', 'Made', 'RollingBack')
) o ON TRUE
LEFT JOIN LATERAL (
    SELECT count(*) AS looked_at, count(i.uuid) AS recent_names,
        extract(epoch FROM clock_timestamp() - min(e.at))::float8 AS looked_back_s,
        sum(i.bytes_done * LEAST(1, GREATEST(0, extract(epoch FROM
            e.at - GREATEST(i.started_at, clock_timestamp() - interval '{WINDOW_S} s')))
            / GREATEST(0.001, extract(epoch FROM e.at - i.started_at))))::bigint AS recent_bytes
    FROM (SELECT item_uuid, kind, at FROM events WHERE job_uuid = j.uuid
          ORDER BY xid DESC, id DESC LIMIT {MOST_RECENT}) e
    LEFT JOIN items i ON i.uuid = e.item_uuid AND e.kind IN ('item.succeeded', 'item.made')
        AND e.at > clock_timestamp() - interval '{WINDOW_S} s'
) r ON j.state = 'Running'
"""  # noqa: S608
_JOB = _JOBS.format(which="uuid = :uuid AND kind <> 'api'")
_THESE = _JOBS.format(which="uuid = ANY(:uuids) AND kind <> 'api'") + "ORDER BY j.created_at"
# The page is found first. Newest first; a cursor is the place of the last job of the page before.
_ON_PAGE = """kind <> 'api'
    AND (CAST(:account_uuid AS text) IS NULL OR account_uuid = :account_uuid)
    AND (CAST(:account_name AS text) IS NULL OR account_uuid IN
        (SELECT uuid FROM accounts WHERE name = :account_name))
    AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS job_state))
    AND (CAST(:outcome AS text) IS NULL OR outcome = CAST(:outcome AS job_outcome))
    AND (CAST(:vm_instance_uuid AS text) IS NULL OR vm_instance_uuid = :vm_instance_uuid)
    AND (CAST(:created_after AS timestamptz) IS NULL OR created_at > :created_after)
    AND (CAST(:created_before AS timestamptz) IS NULL OR created_at < :created_before)
    AND (CAST(:before_at AS timestamptz) IS NULL OR
        (created_at, uuid) < (:before_at, CAST(:before_uuid AS text)))
ORDER BY created_at DESC, uuid DESC LIMIT :limit"""
_PAGE = _JOBS.format(which=_ON_PAGE) + "ORDER BY j.created_at DESC, j.uuid DESC"


def load_job(connection: Connection, job_uuid: str, *, account_uuid: str | None) -> JobView | None:
    """camelCase members; `account_uuid` None sees all."""
    row = connection.execute(text(_JOB), {"uuid": job_uuid}).one_or_none()
    if row is None or account_uuid not in (None, row.account_uuid):
        return None
    return _job(row)


def load_these(
    connection: Connection, job_uuids: Sequence[str]
) -> list[tuple[str | None, JobView]]:
    """Each with its account's uuid, the oldest first."""
    rows = connection.execute(text(_THESE), {"uuids": list(job_uuids)}).all()
    return [(row.account_uuid, _job(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """None: any."""

    account_uuid: str | None = None
    account_name: str | None = None
    state: str | None = None
    outcome: str | None = None
    vm_instance_uuid: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Of a job among all, by when it was accepted: it stays where it is while others are added."""

    created_at: datetime
    uuid: str


def load_jobs(
    connection: Connection, wanted: JobFilter, *, after: Place | None, limit: int
) -> tuple[list[JobView], Place | None]:
    """Newest first, those after a place; and the last one's place where more may follow."""
    rows = connection.execute(
        text(_PAGE),
        asdict(wanted)
        | {
            "before_at": after.created_at if after else None,
            "before_uuid": after.uuid if after else None,
            "limit": limit,
        },
    ).all()
    last = Place(rows[-1].created_at, rows[-1].uuid) if len(rows) == limit else None
    return [_job(row) for row in rows], last


# What retries, and retries of these, have cloned or not ended yet.
_TAKEN_UP = """
WITH RECURSIVE retries AS (
    SELECT uuid, state, request FROM jobs WHERE retry_of = :uuid
    UNION ALL
    SELECT j.uuid, j.state, j.request FROM jobs j JOIN retries r ON j.retry_of = r.uuid
)
SELECT i.name, i.job_uuid FROM items i JOIN retries r ON r.uuid = i.job_uuid
WHERE i.state NOT IN ('Failed', 'Canceled', 'Stranded')
UNION ALL
SELECT asked.name, r.uuid
FROM retries r CROSS JOIN LATERAL json_array_elements_text(r.request->'names') asked (name)
WHERE r.state <> 'Finished' AND NOT EXISTS (SELECT 1 FROM items i WHERE i.job_uuid = r.uuid)
"""


@dataclass(frozen=True, slots=True)
class Failed:
    """What a retry needs of a finished job."""

    names: list[str]  # not cloned, and not tried again since, in request order
    request: dict[str, Any]
    policy: dict[str, Any] | None
    account_uuid: str  # whose it is
    retried: list[str]  # jobs that have names of it cloned or under way


def load_failed(connection: Connection, job_uuid: str) -> Failed:
    job = connection.execute(
        text("SELECT request, policy, account_uuid FROM jobs WHERE uuid = :uuid"),
        {"uuid": job_uuid},
    ).one()
    rows = connection.execute(
        text("SELECT name, state::text FROM items WHERE job_uuid = :uuid ORDER BY ordinal"),
        {"uuid": job_uuid},
    ).all()
    names = [row.name for row in rows if row.state != ItemState.SUCCEEDED]
    # Refused before it had items: none of its names was cloned.
    names = names if rows else list(job.request["names"])
    taken = connection.execute(text(_TAKEN_UP), {"uuid": job_uuid}).all()
    return Failed(
        names=_without(names, [row.name for row in taken]),
        request=job.request,
        policy=job.policy,
        account_uuid=job.account_uuid,
        retried=sorted({row.job_uuid for row in taken}),
    )


def _without(names: Sequence[str], others: Iterable[str]) -> list[str]:
    """A name may stand there more than once."""
    taken, left = Counter(others), []
    for name in names:
        if taken[name]:
            taken[name] -= 1
        else:
            left.append(name)
    return left


def _job(row: Row[Any]) -> JobView:
    total = row.total if row.total is not None else row.requested
    ended = (row.succeeded or 0) + (row.failed or 0) + (row.canceled or 0)
    waiting = total - ended - row.running if row.state != JobState.FINISHED else 0
    pace = _pace(row, total=total, ended=ended)
    eta = eta_of(pace) if row.state == JobState.RUNNING and row.paused_at is None else Eta()
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
        "bytesDone": pace.bytes_done,
        "bytesTotal": pace.bytes_total,
        "rateBytesPerSecond": rate_of(pace) if row.state == JobState.RUNNING else None,
        "etaSeconds": eta.seconds,
        "etaBasis": eta.basis,
        "waitReasons": _wait_reasons(row, waiting),
        "consistency": row.consistency,
        "sourceSnapshot": _snapshot(row),
        "priority": row.priority,
        "policy": row.policy or Policy(onFailure="keep", maxFailures=None),
        "ignored": row.ignored or [],
        "notes": row.notes or [],
        "createdAt": shown_time(row.created_at),
        "startedAt": shown_time(row.started_at),
        "finishedAt": shown_time(row.finished_at),
        "deadlineAt": shown_time(row.deadline_at),
        "pausedAt": shown_time(row.paused_at),
        "cancelRequestedAt": shown_time(row.cancel_requested_at),
        "error": shown_error(row.error),
        "retryOf": row.retry_of,
        "retriedAs": row.retried_as,
    }


def _pace(row: Row[Any], *, total: int, ended: int) -> Pace:
    elapsed_s = row.elapsed_s or 0.0
    window_s = min(WINDOW_S, elapsed_s)
    if row.looked_at == MOST_RECENT:  # there are more: the window is as long as these took
        window_s = min(window_s, row.looked_back_s)
    return Pace(
        total=total,
        ended=ended,
        begun=row.names_begun or 0.0,
        elapsed_s=elapsed_s,
        window_s=window_s,
        recent_names=row.recent_names or 0,
        recent_bytes=row.recent_bytes or 0,
        copying_per_s=row.copying_per_s,
        bytes_done=(row.bytes_ended or 0) + row.bytes_running,
        bytes_total=_bytes_total(row, ended, total),
    )


def _snapshot(row: Row[Any]) -> SnapshotView | None:
    """What still holds the running source still: the job ends when the source is put back."""
    if row.snapshot_at is None:
        return None
    return {"since": shown_time(row.snapshot_at), "error": shown_error(row.snapshot_error)}


def _bytes_total(row: Row[Any], ended: int, total: int) -> int | None:
    """Known once every name has ended or been granted."""
    if row.total is None or ended + row.running < total:
        return None
    return int((row.bytes_ended or 0) + (row.bytes_open_total or 0))


def _wait_reasons(row: Row[Any], waiting: int) -> dict[str, int]:
    reasons: dict[str, int] = {}
    if waiting and row.wait_reason:
        reasons[row.wait_reason] = waiting
    if row.retrying:
        reasons["retry"] = reasons.get("retry", 0) + row.retrying
    return reasons
