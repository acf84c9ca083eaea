"""The two statements that every client sends: submit and poll. Plain SQL through asyncpg, one
round trip each, because an abstraction here costs as much as the statement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from app.domain.clone_job import DEFAULT_PRIORITY
from app.domain.errors import SessionInvalid
from app.store.codec import error_to_json
from app.store.models import JobKind
from app.store.session import POOL_AWAY

# One statement looks the session (or the account that signed) up and writes the job: Accepted with
# its request, or, for a session that is refused, finished at once without one.
_ACCEPT = """
WITH session AS (
    SELECT account_uuid,
        expires_at < clock_timestamp() + make_interval(secs => $9::float8) AS slides
    FROM sessions WHERE uuid = $2::text AND expires_at > clock_timestamp()
    UNION ALL
    SELECT uuid, FALSE FROM accounts WHERE uuid = $16::text
), job AS (
    INSERT INTO jobs (uuid, state, outcome, account_uuid, vm_instance_uuid, request, requested,
        priority, api_timeout_ms, deadline_at, web_hook, wants_schema, client_ip, error,
        finished_at, policy, retry_of, kind)
    SELECT $1::text,
        CASE WHEN s.account_uuid IS NULL THEN 'Finished' ELSE 'Accepted' END::job_state,
        CASE WHEN s.account_uuid IS NULL THEN 'Failed' END::job_outcome,
        s.account_uuid, $3::text, CASE WHEN s.account_uuid IS NOT NULL THEN $4::json END,
        $5::int, $13::int, $6::bigint,
        clock_timestamp() + make_interval(secs => $6::bigint / 1000.0),
        $7::text, $8::bool, $10::text,
        CASE WHEN s.account_uuid IS NULL THEN $11::jsonb END,
        CASE WHEN s.account_uuid IS NULL THEN clock_timestamp() END, $14::jsonb, $15::text,
        $17::job_kind
    FROM (SELECT 1) one LEFT JOIN session s ON TRUE
    ON CONFLICT (uuid) DO NOTHING
    RETURNING uuid, account_uuid
), refusal AS (
    INSERT INTO job_results (job_uuid, status, body)
    SELECT uuid, 503, $12::bytea FROM job WHERE account_uuid IS NULL
)
SELECT job.uuid IS NOT NULL AS is_new, job.account_uuid, s.slides
FROM (SELECT 1) one LEFT JOIN job ON TRUE LEFT JOIN session s ON TRUE
"""

_POLL = """
SELECT j.state::text, j.kind::text, j.created_at, j.finished_at, j.paused_at, j.wants_schema,
    c.total, c.succeeded, c.failed, c.canceled, j.requested,
    c.bytes_done, r.status, r.body, r.schema_body, o.running, o.bytes_running, o.bytes_open_total,
    extract(epoch FROM clock_timestamp() - j.started_at)::float8 AS elapsed_s
FROM jobs j
LEFT JOIN job_counters c ON c.job_uuid = j.uuid
LEFT JOIN job_results r ON r.job_uuid = j.uuid
LEFT JOIN LATERAL (
    SELECT count(*) AS running, coalesce(sum(bytes_done), 0)::bigint AS bytes_running,
        sum(bytes_total)::bigint AS bytes_open_total
    FROM items WHERE job_uuid = j.uuid AND finished_at IS NULL
        AND state IN ('Granted', 'Running', 'Made', 'RollingBack')
) o ON j.state <> 'Finished'
WHERE j.uuid = $1
"""


@dataclass(frozen=True, slots=True)
class Submission:
    job_uuid: str
    session_uuid: str | None
    vm_instance_uuid: str
    request: str  # JSON text
    requested: int
    timeout_ms: int
    web_hook: str | None
    wants_schema: bool
    client_ip: str | None
    priority: int = DEFAULT_PRIORITY
    policy: str | None = None  # JSON text
    retry_of: str | None = None
    account_uuid: str | None = None  # whose access key signed, instead of a session
    kind: JobKind = JobKind.CLONE


@dataclass(frozen=True, slots=True)
class Receipt:
    is_new: bool  # False: a job of that uuid was there already
    account_uuid: str | None  # None: the session was refused
    slides: bool  # the session is due to be extended


async def accept(
    pool: asyncpg.Pool, submission: Submission, *, session_timeout_s: int, refusal: bytes
) -> Receipt:
    """One job row, committed. `refusal` is the answer to polls where the session is refused.

    A lost connection leaves open whether the commit took place: the row is read again rather
    than written again.
    """
    arguments = _arguments(submission, session_timeout_s, refusal)
    try:
        row = await pool.fetchrow(_ACCEPT, *arguments)
    except POOL_AWAY:
        found = await pool.fetchrow(
            "SELECT account_uuid FROM jobs WHERE uuid = $1", submission.job_uuid
        )
        if found is not None:
            return Receipt(is_new=True, account_uuid=found["account_uuid"], slides=False)
        row = await pool.fetchrow(_ACCEPT, *arguments)
    return Receipt(row["is_new"], row["account_uuid"], bool(row["slides"]))


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    account_uuid: str
    key: str
    fingerprint: str  # of what is asked for


@dataclass(frozen=True, slots=True)
class Replay:
    """The key was used before."""

    job_uuid: str
    same: bool  # for the same request


async def accept_once(
    pool: asyncpg.Pool,
    submission: Submission,
    key: IdempotencyKey,
    *,
    session_timeout_s: int,
    refusal: bytes,
) -> Receipt | Replay:
    """The job and its key in one transaction; whoever comes second with the key waits for the
    first and gets his job."""
    arguments = _arguments(submission, session_timeout_s, refusal)
    while True:
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                row = await _with_key(connection, submission.job_uuid, key, arguments)
            except BaseException:
                await transaction.rollback()
                raise
            if row is not None and row["is_new"]:
                await transaction.commit()
                return Receipt(True, row["account_uuid"], bool(row["slides"]))
            await transaction.rollback()
            if row is not None:
                return Receipt(False, row["account_uuid"], slides=False)
            # A statement of its own: the one above did not see what it ran into.
            found = await replay_of(connection, key)
        if found is not None:
            return found
        # It ran out, or its job was refused, between the two: free again.


async def replay_of(database: Any, key: IdempotencyKey) -> Replay | None:
    """What the key was used for, by a pool or a connection; None where it is free."""
    found = await database.fetchrow(
        "SELECT fingerprint, job_uuid FROM idempotency_keys WHERE account_uuid = $1 AND key = $2",
        key.account_uuid,
        key.key,
    )
    return found and Replay(found["job_uuid"], same=found["fingerprint"] == key.fingerprint)


async def _with_key(
    connection: Any, job_uuid: str, key: IdempotencyKey, arguments: tuple[Any, ...]
) -> Any:
    """The job's row of `_ACCEPT`; None where somebody has the key."""
    mine = await connection.fetchval(
        "INSERT INTO idempotency_keys (account_uuid, key, fingerprint, job_uuid) "
        "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING TRUE",
        key.account_uuid,
        key.key,
        key.fingerprint,
        job_uuid,
    )
    return await connection.fetchrow(_ACCEPT, *arguments) if mine else None


def _arguments(submission: Submission, session_timeout_s: int, refusal: bytes) -> tuple[Any, ...]:
    return (
        submission.job_uuid,
        submission.session_uuid,
        submission.vm_instance_uuid,
        submission.request,
        submission.requested,
        submission.timeout_ms,
        submission.web_hook,
        submission.wants_schema,
        session_timeout_s,
        submission.client_ip,
        orjson.dumps(error_to_json(SessionInvalid())).decode(),
        refusal,
        submission.priority,
        submission.policy,
        submission.retry_of,
        submission.account_uuid,
        submission.kind,
    )


@dataclass(frozen=True, slots=True)
class PollView:
    state: str
    wants_schema: bool
    status: int | None  # of the stored result, once there is one
    body: bytes | None
    schema: bytes | None
    progress: dict[str, Any]  # what is unknown is left out
    kind: JobKind
    created_at: datetime
    finished_at: datetime | None


async def poll(pool: asyncpg.Pool, job_uuid: str) -> PollView | None:
    row = await pool.fetchrow(_POLL, job_uuid)
    if row is None:
        return None
    return PollView(
        state=row["state"],
        wants_schema=row["wants_schema"],
        status=row["status"],
        body=row["body"],
        schema=row["schema_body"],
        progress=_progress(row) if row["status"] is None else {},
        kind=JobKind(row["kind"]),
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )


def _progress(row: asyncpg.Record) -> dict[str, Any]:
    total = row["total"]
    if total is None:  # not judged yet
        return {"state": row["state"], "total": row["requested"]}
    ended = row["succeeded"] + row["failed"] + row["canceled"]
    bytes_done = row["bytes_done"] + row["bytes_running"]
    progress = {
        "state": row["state"],
        "total": total,
        "waiting": total - ended - row["running"],
        "running": row["running"],
        "succeeded": row["succeeded"],
        "failed": row["failed"],
        "canceled": row["canceled"],
        "bytesDone": bytes_done,
    }
    if ended + row["running"] == total:  # known once every name has ended or been granted
        progress["bytesTotal"] = row["bytes_done"] + int(row["bytes_open_total"] or 0)
    elapsed_s = row["elapsed_s"]
    if elapsed_s and bytes_done:
        progress["rateBytesPerSecond"] = int(bytes_done / elapsed_s)
    if elapsed_s and ended and ended < total and row["paused_at"] is None:
        progress["etaSeconds"] = round(elapsed_s * (total - ended) / ended, 1)
    return progress
