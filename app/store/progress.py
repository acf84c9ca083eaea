"""How far a job is, step by step, for whoever polls by its uuid."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

MOST_STEPS = 500  # of a job, the newest: ten thousand names take seventy thousand steps


def job_of(connection: Connection, job_uuid: str) -> Row[Any] | None:
    return connection.execute(
        text(
            "SELECT j.uuid, j.kind::text AS kind, j.state::text AS state, j.account_uuid, "
            "j.created_at, j.started_at, j.finished_at, c.total, "
            "c.succeeded + c.failed + c.canceled AS ended "
            "FROM jobs j LEFT JOIN job_counters c ON c.job_uuid = j.uuid WHERE j.uuid = :uuid"
        ),
        {"uuid": job_uuid},
    ).one_or_none()


def steps_of(connection: Connection, job_uuid: str, *, limit: int) -> Sequence[Row[Any]]:
    """Recorded steps with their item, newest first."""
    return connection.execute(
        text(
            "SELECT s.name::text AS name, s.finished_at, i.uuid AS item_uuid, i.name AS item_name "
            "FROM steps s JOIN items i ON i.uuid = s.item_uuid WHERE i.job_uuid = :uuid "
            "ORDER BY s.finished_at DESC, s.name DESC LIMIT :limit"
        ),
        {"uuid": job_uuid, "limit": limit},
    ).all()
