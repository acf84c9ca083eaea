"""Long jobs: a name on a job of the engine, which may be run again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from app.store.models import JobKind


@dataclass(frozen=True, slots=True)
class NewLongJob:
    uuid: str
    name: str
    description: str | None
    job_name: str
    job_data: str
    target_resource_uuid: str | None
    account_uuid: str
    job_uuid: str


def make(connection: Connection, new: NewLongJob) -> bool:
    """False if there is one of that uuid."""
    return bool(
        connection.execute(
            text(
                "INSERT INTO long_jobs (uuid, name, description, job_name, job_data, "
                "target_resource_uuid, account_uuid, job_uuid) VALUES (:uuid, :name, "
                ":description, :job_name, :job_data, :target, :account, :job) "
                "ON CONFLICT (uuid) DO NOTHING"
            ),
            {
                "uuid": new.uuid,
                "name": new.name,
                "description": new.description,
                "job_name": new.job_name,
                "job_data": new.job_data,
                "target": new.target_resource_uuid,
                "account": new.account_uuid,
                "job": new.job_uuid,
            },
        ).rowcount
    )


def hold(connection: Connection, uuid: str, account_uuid: str | None) -> Row[Any] | None:
    """The long job with its job's state, held; `account_uuid` None sees all."""
    return connection.execute(
        text(
            "SELECT l.*, j.state::text AS job_state, j.outcome::text AS outcome "
            "FROM long_jobs l LEFT JOIN jobs j ON j.uuid = l.job_uuid WHERE l.uuid = :uuid "
            "AND (CAST(:account AS text) IS NULL OR l.account_uuid = :account) FOR UPDATE OF l"
        ),
        {"uuid": uuid, "account": account_uuid},
    ).one_or_none()


def accept_job(
    connection: Connection,
    job_uuid: str,
    kind: JobKind,
    vm_uuid: str,
    request: dict[str, Any],
    *,
    account_uuid: str,
    timeout_s: int,
    retry_of: str | None = None,
) -> None:
    """An accepted job, as intake leaves it."""
    names = request.get("names")
    connection.execute(
        text(
            "INSERT INTO jobs (uuid, kind, state, account_uuid, vm_instance_uuid, request, "
            "requested, priority, api_timeout_ms, deadline_at, wants_schema, retry_of) "
            "VALUES (:uuid, :kind, 'Accepted', :account, :vm, CAST(:request AS json), :requested, "
            "5, :timeout_s * 1000, clock_timestamp() + make_interval(secs => :timeout_s), FALSE, "
            ":retry_of)"
        ),
        {
            "uuid": job_uuid,
            "kind": kind,
            "account": account_uuid,
            "vm": vm_uuid,
            "request": orjson.dumps(request).decode(),
            "requested": len(names) if isinstance(names, list) else 1,
            "timeout_s": timeout_s,
            "retry_of": retry_of,
        },
    )


def run_by(connection: Connection, uuid: str, job_uuid: str) -> None:
    """Another job runs it from now on."""
    connection.execute(
        text(
            "UPDATE long_jobs SET job_uuid = :job, last_op_at = clock_timestamp() "
            "WHERE uuid = :uuid"
        ),
        {"uuid": uuid, "job": job_uuid},
    )


def forget(connection: Connection, uuid: str) -> None:
    connection.execute(text("DELETE FROM long_jobs WHERE uuid = :uuid"), {"uuid": uuid})


def forget_those_of(connection: Connection, job_uuids: Sequence[str]) -> None:
    """Their jobs are about to go, and without one nothing is known of them. So do those whose job
    went before them."""
    connection.execute(
        text("DELETE FROM long_jobs WHERE job_uuid = ANY(:jobs) OR job_uuid IS NULL"),
        {"jobs": job_uuids},
    )
