"""Callbacks owed: rows written with a job's result, claimed for a try, delivered or given up."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.domain.states import JobOutcome
from app.store import tallies
from app.store.session import Database

MAX_ERROR_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Due:
    """One try, begun."""

    uuid: str
    job_uuid: str
    url: str
    attempts: int  # this one included
    success: bool
    batch: str  # FAIL, SUCCESS or PARTIAL
    body: bytes  # as polls get it
    schema: bytes | None  # for those who asked for it


def claim(database: Database, *, limit: int, again_s: float) -> list[Due]:
    """Due callbacks, each moved on by `again_s` first: nobody else tries it meanwhile, and it is
    tried again if nothing more is heard of this try."""
    with database.single() as connection:
        rows = connection.execute(
            text(
                "WITH due AS (UPDATE webhooks SET attempts = attempts + 1, "
                " not_before = clock_timestamp() + make_interval(secs => :again_s) "
                " WHERE uuid IN (SELECT uuid FROM webhooks WHERE delivered_at IS NULL "
                "  AND given_up_at IS NULL AND not_before <= clock_timestamp() "
                "  ORDER BY not_before LIMIT :limit FOR UPDATE SKIP LOCKED) "
                " RETURNING uuid, job_uuid, url, attempts) "
                "SELECT due.*, r.status, r.body, j.outcome::text AS outcome, c.succeeded, "
                "CASE WHEN j.wants_schema THEN r.schema_body END AS schema "
                "FROM due JOIN jobs j ON j.uuid = due.job_uuid "
                "JOIN job_results r ON r.job_uuid = due.job_uuid "
                "LEFT JOIN job_counters c ON c.job_uuid = due.job_uuid"
            ),
            {"again_s": again_s, "limit": limit},
        ).all()
    return [
        Due(
            uuid=row.uuid,
            job_uuid=row.job_uuid,
            url=row.url,
            attempts=row.attempts,
            success=row.status == 200,
            batch=_batch(row.outcome, row.succeeded or 0),
            body=bytes(row.body),
            schema=bytes(row.schema) if row.schema is not None else None,
        )
        for row in rows
    ]


def _batch(outcome: str, succeeded: int) -> str:
    if outcome == JobOutcome.SUCCEEDED:
        return "SUCCESS"
    return "PARTIAL" if succeeded else "FAIL"


def delivered(database: Database, uuid: str) -> None:
    def work(connection: Connection) -> None:
        connection.execute(
            text(
                "UPDATE webhooks SET delivered_at = clock_timestamp(), last_error = NULL "
                "WHERE uuid = :uuid"
            ),
            {"uuid": uuid},
        )
        _count(connection, "delivered")

    database.run(work)


def failed(
    database: Database, uuid: str, error: str, *, again_s: float | None, give_up_s: float
) -> None:
    """Due again in `again_s`; given up without it, and `give_up_s` after it was owed."""

    def work(connection: Connection) -> None:
        given_up = connection.execute(
            text(
                "UPDATE webhooks SET last_error = :error, "
                "not_before = clock_timestamp() + make_interval(secs => :again_s), "
                "given_up_at = CASE WHEN :final OR created_at + make_interval(secs => :give_up_s) "
                " < clock_timestamp() THEN clock_timestamp() END "
                "WHERE uuid = :uuid AND delivered_at IS NULL RETURNING given_up_at"
            ),
            {
                "uuid": uuid,
                "error": error[:MAX_ERROR_LENGTH],
                "again_s": again_s or 0,
                "final": again_s is None,
                "give_up_s": give_up_s,
            },
        ).scalar_one_or_none()
        _count(connection, "failed" if given_up is None else "given_up")

    database.run(work)


def _count(connection: Connection, result: str) -> None:
    tallies.add(connection, Counter({("webhook_deliveries", (result,)): 1}))
