"""What the scheduler reads and writes: waiting jobs and items, and the rows of a grant."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, text

from app.domain.addressing import mint_mac
from app.domain.errors import ErrorCode
from app.domain.fairness import WaitingJob
from app.domain.plan import CloneStrategy
from app.domain.spec import CloneSpec
from app.domain.states import BaseSetState, ItemState, WaitReason, check_move
from app.store import leases
from app.store.codec import error_from_json, spec_from_json
from app.store.models import JobKind, UsedIp, VmInstance, VmNic, Volume
from app.store.sql import copy_rows

SCHEDULER_LOCK = 7263512


def try_lock(connection: Connection) -> bool:
    """Only one scheduler grants at a time; the lock ends with the transaction."""
    return bool(
        connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": SCHEDULER_LOCK})
    )


@dataclass(frozen=True, slots=True)
class SchedulableJob:
    job: WaitingJob
    kind: JobKind
    vm_uuid: str  # the source
    spec: CloneSpec
    base_set_uuid: str | None
    base_state: BaseSetState | None
    base_wait: WaitReason | None
    base_error: ErrorCode | None
    wait_reason: WaitReason | None
    needs: frozenset[str]  # what the clones' host has to run, once the base is Ready

    @property
    def needs_base(self) -> bool:
        return self.spec.strategy is not CloneStrategy.JUST_CREATE


def waiting_jobs(connection: Connection, *, per_job: int) -> list[SchedulableJob]:
    """Running jobs that have waiting items, are not paused, cancelled or overdue. Of each at most
    `per_job` items are counted."""
    rows = connection.execute(
        text(
            "SELECT j.uuid, j.kind, j.account_uuid, j.priority, j.created_at, "  # noqa: S608
            "j.vm_instance_uuid, j.spec, j.base_set_uuid, "
            "b.state::text AS base_state, b.wait_reason::text AS base_wait, "
            "b.error AS base_error, b.needs, j.wait_reason::text AS wait_reason, "
            "(SELECT count(*) FROM (SELECT 1 FROM items i WHERE i.job_uuid = j.uuid "
            " AND i.state = 'Waiting' LIMIT :per_job) counted) AS waiting "
            "FROM jobs j LEFT JOIN base_sets b ON b.uuid = j.base_set_uuid "
            "WHERE j.state = 'Running' AND j.spec IS NOT NULL "
            "AND j.paused_at IS NULL AND j.cancel_requested_at IS NULL "
            "AND COALESCE(j.deadline_at > clock_timestamp(), TRUE) "
            f"AND NOT {leases.GIVEN_UP.replace('jobs.', 'j.')} "
            "AND EXISTS (SELECT 1 FROM items i WHERE i.job_uuid = j.uuid AND i.state = 'Waiting')"
        ),
        {"per_job": per_job},
    ).all()
    return [
        SchedulableJob(
            job=WaitingJob(row.uuid, row.account_uuid, row.priority, row.created_at, row.waiting),
            kind=JobKind(row.kind),
            vm_uuid=row.vm_instance_uuid,
            spec=spec_from_json(row.spec),
            base_set_uuid=row.base_set_uuid,
            base_state=BaseSetState(row.base_state) if row.base_state else None,
            base_wait=WaitReason(row.base_wait) if row.base_wait else None,
            base_error=error_from_json(row.base_error) if row.base_error else None,
            wait_reason=WaitReason(row.wait_reason) if row.wait_reason else None,
            needs=frozenset(row.needs or ()),
        )
        for row in rows
    ]


def shares(connection: Connection) -> tuple[dict[str, int], dict[str, float]]:
    """Open items and weights by account."""
    open_items = connection.execute(
        text(
            "SELECT j.account_uuid, count(*) FROM items i JOIN jobs j ON j.uuid = i.job_uuid "
            "WHERE i.state IN ('Granted', 'Running', 'RollingBack') GROUP BY j.account_uuid"
        )
    ).all()
    weights = connection.execute(text("SELECT uuid, weight FROM accounts")).all()
    return dict(map(tuple, open_items)), dict(map(tuple, weights))


def take_waiting(connection: Connection, job_uuid: str, number: int) -> Sequence[Any]:
    """The job's next waiting items in request order, their rows held: uuid, ordinal, name,
    vm_uuid, volume_uuids, nic_uuids."""
    return connection.execute(
        text(
            "SELECT uuid, ordinal, name, vm_uuid, volume_uuids, nic_uuids FROM items "
            "WHERE job_uuid = :job_uuid AND state = 'Waiting' ORDER BY ordinal LIMIT :number "
            "FOR UPDATE SKIP LOCKED"
        ),
        {"job_uuid": job_uuid, "number": number},
    ).all()


def internal_ids(connection: Connection, number: int) -> list[int]:
    return list(
        connection.execute(
            text(
                "SELECT nextval(pg_get_serial_sequence('vm_instances', 'internal_id')) "
                "FROM generate_series(1, :number)"
            ),
            {"number": number},
        ).scalars()
    )


def internal_id_of(connection: Connection, vm_uuid: str) -> int:
    return int(
        connection.execute(
            text("SELECT internal_id FROM vm_instances WHERE uuid = :uuid"), {"uuid": vm_uuid}
        ).scalar_one()
    )


def free_macs(connection: Connection, number: int, rng: random.Random) -> Iterator[str]:
    """Minted MACs that no NIC has, whatever their last octet becomes."""
    minted = {mint_mac(0, rng)[:14] for _ in range(number)}
    taken = set(
        connection.execute(
            text(
                "SELECT prefix FROM unnest(CAST(:minted AS text[])) AS prefix WHERE EXISTS "
                "(SELECT 1 FROM vm_nics WHERE mac BETWEEN prefix || '\\:00' AND prefix || '\\:ff')"
            ),
            {"minted": list(minted)},
        ).scalars()
    )
    for prefix in minted - taken:
        yield prefix + ":00"
    while True:
        yield from free_macs(connection, number, rng)


def unused_macs(connection: Connection, macs: Iterable[str]) -> set[str]:
    """Those that no NIC has."""
    asked = set(macs)
    if not asked:
        return asked
    used = connection.execute(
        text("SELECT mac FROM vm_nics WHERE mac = ANY(:macs)"), {"macs": list(asked)}
    ).scalars()
    return asked.difference(used)


@dataclass(slots=True)
class GrantRows:
    """The rows of a batch, a list a table."""

    items: list[dict[str, Any]] = field(default_factory=list)
    vms: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)  # that become VMs
    volumes: list[dict[str, Any]] = field(default_factory=list)
    nics: list[dict[str, Any]] = field(default_factory=list)
    used_ips: list[dict[str, Any]] = field(default_factory=list)


def write(connection: Connection, rows: GrantRows, *, worker: str) -> None:
    """The items are Granted with their plans, and all that the plans name exists as rows."""
    check_move(ItemState.WAITING, ItemState.GRANTED)
    for table, values in (
        (VmInstance, rows.vms),
        (Volume, rows.volumes),
        (VmNic, rows.nics),
        (UsedIp, rows.used_ips),
    ):
        copy_rows(connection, table, values)
    for record in rows.records:
        connection.execute(
            text(
                "UPDATE vm_instances SET cluster_uuid = :cluster_uuid, host_uuid = :host_uuid, "
                "last_host_uuid = :last_host_uuid, root_volume_uuid = :root_volume_uuid, "
                "default_l3_network_uuid = :default_l3_network_uuid, cpu_num = :cpu_num, "
                "memory_size = :memory_size, state = :state, last_op_at = clock_timestamp() "
                "WHERE uuid = :uuid"
            ),
            record,
        )
    connection.execute(
        text(
            "WITH granted AS (UPDATE items SET state = 'Granted', host_uuid = g.host_uuid, "
            " plan = g.plan, step = CAST(g.step AS step_name), wait_reason = NULL, "
            " bytes_total = g.bytes_total, turn = g.turn, error = NULL, "
            " granted_at = clock_timestamp(), published_at = clock_timestamp() "
            " FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS "
            " g(uuid text, host_uuid text, plan jsonb, step text, bytes_total bigint, turn float8) "
            " WHERE items.uuid = g.uuid AND items.state = 'Waiting' RETURNING items.uuid) "
            "INSERT INTO steps (item_uuid, name, attempt, worker) "
            "SELECT uuid, 'allocate_host', 1, :worker FROM granted "
            "ON CONFLICT (item_uuid, name) DO NOTHING"
        ),
        {"items": orjson.dumps(list(map(_with_plan, rows.items))).decode(), "worker": worker},
    )


def _with_plan(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"plan": orjson.Fragment(row["plan"])}


def set_wait_reason(connection: Connection, job_uuids: Sequence[str], reason: WaitReason) -> None:
    connection.execute(
        text(
            # Somebody may have paused it since the batch began; then that is why it waits.
            "UPDATE jobs SET wait_reason = :reason WHERE uuid = ANY(:uuids) AND paused_at IS NULL "
            "AND wait_reason IS DISTINCT FROM CAST(:reason AS wait_reason)"
        ),
        {"uuids": list(job_uuids), "reason": reason},
    )


def create_records(
    connection: Connection, job_uuid: str, taken: Sequence[Any], vms: Sequence[dict[str, Any]]
) -> None:
    """JustCreate: the VM records stand, and nothing else is held; the items end Succeeded."""
    check_move(ItemState.WAITING, ItemState.GRANTED)
    check_move(ItemState.GRANTED, ItemState.RUNNING)
    check_move(ItemState.RUNNING, ItemState.SUCCEEDED)
    copy_rows(connection, VmInstance, vms)
    connection.execute(
        text(
            "WITH made AS (UPDATE items SET state = 'Succeeded', wait_reason = NULL, "
            " step = 'allocate_host', granted_at = clock_timestamp(), "
            " started_at = clock_timestamp(), finished_at = clock_timestamp(), bytes_total = 0 "
            " WHERE uuid = ANY(:uuids) AND state = 'Waiting' RETURNING uuid) "
            "INSERT INTO events (job_uuid, item_uuid, kind) "
            "SELECT :job_uuid, uuid, 'item.succeeded' FROM made"
        ),
        {"uuids": [item.uuid for item in taken], "job_uuid": job_uuid},
    )
