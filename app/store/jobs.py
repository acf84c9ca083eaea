"""A job's moves: judged, refused, finishing, finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text
from sqlmodel import col

from app.domain.errors import ErrorCode
from app.domain.states import ItemState, JobOutcome, JobState, check_move
from app.store.codec import error_from_json, error_to_json
from app.store.models import Item, Job, JobKind
from app.store.sql import select_columns


def lock_accepted(connection: Connection, job_uuid: str) -> Row[Any] | None:
    """The job, its row held, if nobody has judged it and nobody is judging it."""
    return connection.execute(
        select_columns(
            Job.uuid,
            Job.kind,
            Job.account_uuid,
            Job.vm_instance_uuid,
            Job.request,
            Job.created_at,
        )
        .where(col(Job.uuid) == job_uuid, col(Job.state) == JobState.ACCEPTED)
        .with_for_update(skip_locked=True)
    ).one_or_none()


@dataclass(frozen=True, slots=True)
class Minted:
    """How many uuids each item gets beside its own and its VM's."""

    volumes: int
    nics: int


_HEX = "replace(gen_random_uuid()::text, '-', '')"


def begin(
    connection: Connection,
    job_uuid: str,
    *,
    names: Sequence[str],
    minted: Minted,
    spec: dict[str, Any],
    ignored: Sequence[str],
) -> None:
    """The job runs: its items are written, in request order, with every uuid they will need."""
    check_move(JobState.ACCEPTED, JobState.RUNNING)
    volumes = ", ".join([_HEX] * minted.volumes)
    nics = ", ".join([_HEX] * minted.nics)
    connection.execute(
        text(
            "INSERT INTO items (uuid, job_uuid, ordinal, name, state, vm_uuid, volume_uuids, "  # noqa: S608
            "nic_uuids, attempts, lapses, fence, bytes_done) "
            f"SELECT {_HEX}, :job_uuid, ordinal - 1, name, 'Waiting', {_HEX}, "
            f"ARRAY[{volumes}]::varchar[], ARRAY[{nics}]::varchar[], 0, 0, 0, 0 "
            "FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS given(name, ordinal)"
        ),
        {"job_uuid": job_uuid, "names": list(names)},
    )
    connection.execute(
        text(
            "INSERT INTO job_counters (job_uuid, total, succeeded, failed, canceled, bytes_done) "
            "VALUES (:job_uuid, :total, 0, 0, 0, 0)"
        ),
        {"job_uuid": job_uuid, "total": len(names)},
    )
    connection.execute(
        text(
            "UPDATE jobs SET state = 'Running', started_at = clock_timestamp(), "
            "wait_reason = 'base', spec = CAST(:spec AS jsonb), "
            "ignored = CAST(:ignored AS jsonb) WHERE uuid = :job_uuid"
        ),
        {
            "job_uuid": job_uuid,
            "spec": orjson.dumps(spec).decode(),
            "ignored": orjson.dumps(list(ignored)).decode(),
        },
    )
    add_event(connection, job_uuid, "job.running")


def refuse(connection: Connection, job_uuid: str, error: ErrorCode, body: bytes) -> None:
    """The job ends without any item; `body` is the answer to its polls."""
    check_move(JobState.ACCEPTED, JobState.FINISHED)
    connection.execute(
        text(
            "UPDATE jobs SET state = 'Finished', outcome = 'Failed', "
            "error = CAST(:error AS jsonb), finished_at = clock_timestamp() "
            "WHERE uuid = :job_uuid AND state = 'Accepted'"
        ),
        {"job_uuid": job_uuid, "error": orjson.dumps(error_to_json(error)).decode()},
    )
    # What was refused may be asked for again under the same key.
    connection.execute(
        text("DELETE FROM idempotency_keys WHERE job_uuid = :job_uuid"), {"job_uuid": job_uuid}
    )
    _store_result(connection, job_uuid, 503, body, None)
    _owe_webhook(connection, job_uuid)
    add_event(connection, job_uuid, "job.finished")


@dataclass(frozen=True, slots=True)
class DoneJob:
    """What the API did, or refused, before it answered."""

    uuid: str
    account_uuid: str | None  # None: the session was refused
    body: bytes
    schema: bytes | None
    error: ErrorCode | None
    timeout_ms: int
    web_hook: str | None
    wants_schema: bool
    client_ip: str | None


def record_done(connection: Connection, job: DoneJob) -> bool:
    """A finished job with its result; False if there is one of that uuid."""
    made = connection.execute(
        text(
            "INSERT INTO jobs (uuid, kind, state, outcome, account_uuid, vm_instance_uuid, "
            "requested, priority, api_timeout_ms, web_hook, wants_schema, client_ip, error, "
            "finished_at) VALUES (:uuid, 'api', 'Finished', :outcome, :account, '', 0, 5, "
            ":timeout_ms, :web_hook, :wants_schema, :client_ip, CAST(:error AS jsonb), "
            "clock_timestamp()) ON CONFLICT (uuid) DO NOTHING"
        ),
        {
            "uuid": job.uuid,
            "outcome": JobOutcome.FAILED if job.error else JobOutcome.SUCCEEDED,
            "account": job.account_uuid,
            "timeout_ms": job.timeout_ms,
            "web_hook": job.web_hook,
            "wants_schema": job.wants_schema,
            "client_ip": job.client_ip,
            "error": orjson.dumps(error_to_json(job.error)).decode() if job.error else None,
        },
    ).rowcount
    if made:
        _store_result(connection, job.uuid, 503 if job.error else 200, job.body, job.schema)
        _owe_webhook(connection, job.uuid)
    return bool(made)


def note_error(connection: Connection, job_uuid: str, error: ErrorCode) -> None:
    """What ended the job's names before any of them began."""
    connection.execute(
        text("UPDATE jobs SET error = CAST(:error AS jsonb) WHERE uuid = :job_uuid"),
        {"job_uuid": job_uuid, "error": orjson.dumps(error_to_json(error)).decode()},
    )


# Every item has ended or, all or nothing, every one is made; and the source is as it was before.
COMPLETE = (
    "NOT EXISTS (SELECT 1 FROM source_snapshots d WHERE d.base_set_uuid = jobs.base_set_uuid "
    "AND d.paid_at IS NULL) AND EXISTS (SELECT 1 FROM job_counters c WHERE c.job_uuid = jobs.uuid "
    "AND (c.succeeded + c.failed + c.canceled = c.total "
    "OR (jobs.policy->>'onFailure' = 'allOrNothing' AND NOT EXISTS "
    "(SELECT 1 FROM items WHERE items.job_uuid = jobs.uuid AND items.state <> 'Made'))))"
)


def begin_finishing(connection: Connection, job_uuid: str) -> bool:
    """Every item is at its end and the source is back; False if the job was past that already, or
    is not there yet."""
    check_move(JobState.RUNNING, JobState.FINISHING)
    # Held first: whoever sends made items back holds the row too, and is seen afterwards.
    connection.execute(
        text("SELECT 1 FROM jobs WHERE uuid = :job_uuid FOR NO KEY UPDATE"), {"job_uuid": job_uuid}
    )
    return bool(
        connection.execute(
            text(
                "UPDATE jobs SET state = 'Finishing' "  # noqa: S608
                f"WHERE uuid = :job_uuid AND state = 'Running' AND {COMPLETE}"
            ),
            {"job_uuid": job_uuid},
        ).rowcount
    )


def complete_of(connection: Connection, base_set_uuid: str) -> list[str]:
    """Those of the set's running jobs that have nothing left to wait for."""
    return list(
        connection.execute(
            text(
                "SELECT uuid FROM jobs WHERE base_set_uuid = :uuid "  # noqa: S608
                f"AND state = 'Running' AND {COMPLETE}"
            ),
            {"uuid": base_set_uuid},
        ).scalars()
    )


@dataclass(frozen=True, slots=True)
class EndedItem:
    state: ItemState
    vm_uuid: str
    error: ErrorCode | None


@dataclass(frozen=True, slots=True)
class EndedJob:
    kind: JobKind
    error: ErrorCode | None
    all_or_nothing: bool
    items: list[EndedItem]  # in request order


def ended_items(connection: Connection, job_uuid: str) -> EndedJob | None:
    """What a Finishing job comes to; None if it is not Finishing."""
    job = connection.execute(
        select_columns(Job.kind, Job.error, Job.policy).where(
            col(Job.uuid) == job_uuid, col(Job.state) == JobState.FINISHING
        )
    ).one_or_none()
    if job is None:
        return None
    rows = connection.execute(
        select_columns(Item.state, Item.vm_uuid, Item.error)
        .where(col(Item.job_uuid) == job_uuid)
        .order_by(col(Item.ordinal))
    ).all()
    return EndedJob(
        job.kind,
        error_from_json(job.error) if job.error else None,
        (job.policy or {}).get("onFailure") == "allOrNothing",
        [
            EndedItem(row.state, row.vm_uuid, error_from_json(row.error) if row.error else None)
            for row in rows
        ],
    )


@dataclass(frozen=True, slots=True)
class Result:
    status: int  # 200 or 503
    body: bytes
    schema: bytes | None
    outcome: JobOutcome
    error: ErrorCode | None = None  # of the job as a whole


def finish(connection: Connection, job_uuid: str, result: Result) -> bool:
    """Result, event, webhook row and Finished in one transaction; False if it was finished."""
    check_move(JobState.FINISHING, JobState.FINISHED)
    connection.execute(
        text(
            "UPDATE base_sets SET last_used_at = clock_timestamp() FROM jobs "
            "WHERE jobs.uuid = :job_uuid AND base_sets.uuid = jobs.base_set_uuid"
        ),
        {"job_uuid": job_uuid},
    )
    changed = connection.execute(
        text(
            "UPDATE jobs SET state = 'Finished', outcome = :outcome, "
            "finished_at = clock_timestamp(), error = CAST(:error AS jsonb), base_set_uuid = NULL "
            "WHERE uuid = :job_uuid AND state = 'Finishing'"
        ),
        {
            "job_uuid": job_uuid,
            "outcome": result.outcome,
            "error": orjson.dumps(error_to_json(result.error)).decode() if result.error else None,
        },
    ).rowcount
    if changed:
        _settle_made(connection, job_uuid)
        _store_result(connection, job_uuid, result.status, result.body, result.schema)
        _owe_webhook(connection, job_uuid)
        add_event(connection, job_uuid, "job.finished")
    return bool(changed)


def _settle_made(connection: Connection, job_uuid: str) -> None:
    """All or nothing, and it is all: the names succeed together, with the job."""
    check_move(ItemState.MADE, ItemState.SUCCEEDED)
    connection.execute(
        text(
            "WITH made AS (UPDATE items SET state = 'Succeeded', finished_at = clock_timestamp() "
            " WHERE job_uuid = :job_uuid AND state = 'Made' RETURNING uuid, bytes_done), "
            "told AS (INSERT INTO events (job_uuid, item_uuid, kind) "
            " SELECT :job_uuid, uuid, 'item.succeeded' FROM made) "
            "UPDATE job_counters SET succeeded = succeeded + summed.number, "
            "bytes_done = bytes_done + summed.bytes FROM (SELECT count(*) AS number, "
            " COALESCE(sum(bytes_done), 0)::bigint AS bytes FROM made) summed "
            "WHERE job_uuid = :job_uuid AND summed.number > 0"
        ),
        {"job_uuid": job_uuid},
    )


def add_event(connection: Connection, job_uuid: str, kind: str) -> None:
    connection.execute(
        text("INSERT INTO events (job_uuid, kind) VALUES (:job_uuid, :kind)"),
        {"job_uuid": job_uuid, "kind": kind},
    )


def _store_result(
    connection: Connection, job_uuid: str, status: int, body: bytes, schema: bytes | None
) -> None:
    connection.execute(
        text(
            "INSERT INTO job_results (job_uuid, status, body, schema_body) "
            "VALUES (:job_uuid, :status, :body, :schema)"
        ),
        {"job_uuid": job_uuid, "status": status, "body": body, "schema": schema},
    )


def _owe_webhook(connection: Connection, job_uuid: str) -> None:
    connection.execute(
        text(
            f"INSERT INTO webhooks (uuid, job_uuid, url, attempts) "  # noqa: S608
            f"SELECT {_HEX}, uuid, web_hook, 0 FROM jobs "
            "WHERE uuid = :job_uuid AND web_hook IS NOT NULL"
        ),
        {"job_uuid": job_uuid},
    )
