"""An item's moves after its grant: stepped, retried, rolled back, ended.

Every move is guarded by the old state and, once a worker holds the item, by its fence: no row
changed means that somebody else has it, and `LeaseLost` says so. The statements that each item
takes on its way are single ones that are their own transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, text, update
from sqlmodel import col

from app.domain.errors import CloneError, ErrorCode
from app.domain.plan import CdRomPlan, ClonePlan, TagPlan
from app.domain.states import ItemState, check_move
from app.domain.steps import StepName
from app.store import capacity, put_back
from app.store.codec import error_to_json, plan_from_json
from app.store.leases import Claim, LeaseLost
from app.store.models import Event, Item, JobKind, Tag, VmInstance, VmState, Volume
from app.store.session import Database

AGAIN_S = 5.0  # before a claim that could not be used
RECHECK_S = 60.0  # after a rollback, for calls that outlived who made them


_WRITE_STEP = """
    INSERT INTO steps (item_uuid, name, attempt, worker, facts, started_at, finished_at)
    SELECT uuid, %(step)s, %(attempt)s, %(worker)s, CAST(%(facts)s AS jsonb),
        clock_timestamp() - make_interval(secs => %(elapsed_s)s), clock_timestamp()
    FROM item
    ON CONFLICT (item_uuid, name) DO UPDATE SET
        attempt = excluded.attempt, worker = excluded.worker, facts = excluded.facts,
        started_at = excluded.started_at, finished_at = excluded.finished_at, undone_at = NULL"""
_MOVE_ON = """
WITH item AS (
    UPDATE items SET step = %(next_step)s, bytes_done = %(bytes_done)s
    WHERE uuid = %(item_uuid)s AND fence = %(fence)s AND state = 'Running'
    RETURNING uuid, vm_uuid
)"""
_RECORD_STEP = f"{_MOVE_ON}{_WRITE_STEP} RETURNING item_uuid"
_RECORD_GUEST_STEP = f"""{_MOVE_ON}, cdrom AS (
    INSERT INTO vm_cdroms (uuid, vm_instance_uuid, device_id, name, iso_uuid, iso_install_path)
    SELECT made.uuid, vm_uuid, device_id, 'vm-' || vm_uuid || '-cdRom', iso_uuid, iso_path
    FROM item, jsonb_to_recordset(CAST(%(cdroms)s AS jsonb))
        AS made(uuid text, device_id int, iso_uuid text, iso_path text)
    ON CONFLICT DO NOTHING
), tag AS (
    INSERT INTO tags (uuid, resource_uuid, resource_type, kind, tag)
    SELECT made.uuid, resource_uuid, resource_type, CAST(kind AS tag_kind), made.tag
    FROM item, jsonb_to_recordset(CAST(%(tags)s AS jsonb))
        AS made(uuid text, resource_uuid text, resource_type text, kind text, tag text)
    ON CONFLICT DO NOTHING
){_WRITE_STEP} RETURNING item_uuid"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class StepRecord:
    step: StepName
    elapsed_s: float
    bytes_done: int  # of the item so far
    facts: str | None = None  # JSON

    def parameters(self, claim: Claim) -> dict[str, Any]:
        return claim.key | {
            "step": self.step,
            "attempt": claim.attempts,
            "worker": claim.owner,
            "facts": self.facts,
            "elapsed_s": self.elapsed_s,
            "bytes_done": self.bytes_done,
        }


def record_step(
    database: Database,
    claim: Claim,
    record: StepRecord,
    *,
    next_step: StepName,
    cdroms: Sequence[CdRomPlan] = (),
    tags: Sequence[TagPlan] = (),
) -> None:
    """The step is done and will not be done again; the item is at `next_step`, and the drives and
    tags that the step gave the clone are rows."""
    parameters = record.parameters(claim) | {"next_step": next_step}
    statement = _RECORD_STEP
    if cdroms or tags:
        statement = _RECORD_GUEST_STEP
        parameters |= {"cdroms": dumps(cdroms), "tags": dumps(tags)}
    if not database.hot(statement, parameters):
        raise LeaseLost


# What an item's last step brings with it.
_LAST_STEP = """
WITH item AS (
    UPDATE items SET state = '{state}', owner = NULL, lease_until = NULL,
        finished_at = {finished_at}, method = %(method)s,
        bytes_done = %(bytes_done)s, bytes_total = %(bytes_done)s,
        identity_due_at = CASE WHEN %(asks_guest)s
            THEN clock_timestamp() + interval '2 seconds' END
    WHERE uuid = %(item_uuid)s AND fence = %(fence)s AND state = 'Running'
    RETURNING uuid, job_uuid, vm_uuid
), step AS (
    {write_step}
), vm AS (
    UPDATE vm_instances SET state = %(vm_state)s, last_op_at = clock_timestamp()
    FROM item WHERE vm_instances.uuid = item.vm_uuid
), volume AS (
    UPDATE volumes SET status = 'Ready', format = CAST(made.format AS volume_format),
        method = CAST(made.method AS clone_method), actual_size = made.actual_size,
        base_uuid = CASE WHEN made.method = 'linked' THEN volumes.base_uuid END,
        last_op_at = clock_timestamp()
    FROM item, jsonb_to_recordset(CAST(%(volumes)s AS jsonb))
        AS made(uuid text, format text, method text, actual_size bigint)
    -- The list of uuids keeps the planner from reading the whole table for its join.
    WHERE volumes.uuid = made.uuid AND volumes.uuid = ANY(%(volume_uuids)s)
), event AS (
    INSERT INTO events (job_uuid, item_uuid, kind)
    SELECT job_uuid, uuid, 'item.{event}' FROM item
)"""
_SUCCEED = (
    _LAST_STEP.format(  # noqa: S608
        state="Succeeded",
        finished_at="clock_timestamp()",
        event="succeeded",
        write_step=_WRITE_STEP,
    )
    + """, counters AS (
    UPDATE job_counters SET succeeded = succeeded + 1, bytes_done = bytes_done + %(bytes_done)s
    FROM item WHERE job_counters.job_uuid = item.job_uuid
    RETURNING total - succeeded - failed - canceled AS still_open
)
SELECT still_open FROM counters
"""
)
# Its siblings decide with it: the job counts all of them when all are made. Two last ones at the
# same moment do not see each other; the sweeper does.
_MAKE = (
    _LAST_STEP.format(state="Made", finished_at="NULL", event="made", write_step=_WRITE_STEP)  # noqa: S608
    + """
SELECT (SELECT count(*) FROM items others WHERE others.job_uuid = item.job_uuid
    AND others.uuid <> item.uuid AND others.state <> 'Made') AS still_open
FROM item
"""
)


def succeed(
    database: Database,
    claim: Claim,
    record: StepRecord,
    *,
    vm_state: VmState,
    method: str,
    volumes: str,
    asks_guest: bool = False,
) -> bool:
    """The last step is done and the clone stands, or is made where its job is all or nothing;
    True for the last item of its job.

    `asks_guest`: its guest is asked later who it is (`store.identities`). `volumes` is a JSON list
    of {uuid, format, method, actual_size}.
    """
    check_move(ItemState.RUNNING, ItemState.MADE if claim.all_or_nothing else ItemState.SUCCEEDED)
    parameters = record.parameters(claim) | {
        "vm_state": vm_state,
        "method": method,
        "volumes": volumes,
        "asks_guest": asks_guest,
        "volume_uuids": claim.volume_uuids,
    }
    statement = _MAKE if claim.all_or_nothing else _SUCCEED
    rows = database.hot(statement, parameters)
    if not rows:
        raise LeaseLost
    return bool(rows[0].still_open == 0)


def retry_later(
    database: Database, claim: Claim, error: CloneError, *, delay_s: float, reason: str
) -> None:
    """A passing fault: host, uuids and reservations are kept."""
    _leave(
        database,
        claim,
        ItemState.RUNNING,
        ItemState.GRANTED,
        "not_before = clock_timestamp() + make_interval(secs => :delay_s), "
        "wait_reason = :reason, error = CAST(:error AS jsonb)",
        {"delay_s": delay_s, "reason": reason, "error": _json(error)},
    )


def give_up(database: Database, claim: Claim) -> None:
    """The claim cannot be used now: the item is free again in a moment, and this counts as
    nothing."""
    if claim.state is ItemState.ROLLING_BACK:
        hand_back_rollback(database, claim, delay_s=AGAIN_S)
        return
    _leave(
        database,
        claim,
        ItemState.RUNNING,
        ItemState.GRANTED,
        "attempts = attempts - 1, published_at = NULL, "
        "not_before = clock_timestamp() + make_interval(secs => :delay_s)",
        {"delay_s": AGAIN_S},
    )


def hand_back(database: Database, claim: Claim) -> None:
    """The worker stops: the item is free at once, and this counts as nothing."""
    _leave(
        database,
        claim,
        ItemState.RUNNING,
        ItemState.GRANTED,
        "attempts = attempts - 1, published_at = NULL",
    )


def hand_back_rollback(database: Database, claim: Claim, *, delay_s: float = 0) -> None:
    """The same in the middle of a rollback, which anybody may go on with."""
    with database.single() as connection:
        connection.execute(
            text(
                "UPDATE items SET owner = NULL, published_at = NULL, "
                "lease_until = clock_timestamp() + make_interval(secs => :delay_s) "
                "WHERE uuid = :item_uuid AND fence = :fence"
            ),
            claim.key | {"delay_s": delay_s},
        )


def begin_rollback(
    database: Database, claim: Claim, step: StepName, ends_as: ItemState, error: CloneError
) -> None:
    """From here on the item is only taken back, by whoever holds it."""
    check_move(ItemState.RUNNING, ItemState.ROLLING_BACK)
    with database.single() as connection:
        changed = connection.execute(
            text(
                "UPDATE items SET state = 'RollingBack', ends_as = :ends_as, step = :step, "
                "error = CAST(:error AS jsonb) "
                "WHERE uuid = :item_uuid AND fence = :fence AND state = 'Running'"
            ),
            claim.key | {"ends_as": ends_as, "step": step, "error": _json(error)},
        ).rowcount
    if not changed:
        raise LeaseLost


def record_undo(database: Database, claim: Claim, step: StepName) -> None:
    with database.single() as connection:
        connection.execute(
            text(
                "UPDATE steps SET undone_at = clock_timestamp() FROM items "
                "WHERE items.uuid = :item_uuid AND items.fence = :fence "
                "AND steps.item_uuid = items.uuid AND steps.name = :step"
            ),
            claim.key | {"step": step},
        )


def strand(database: Database, claim: Claim, *, delay_s: float, failures: list[str]) -> bool:
    """An undo failed: every reservation is kept and it is tried again. The job counts the item as
    failed, once; True if that ended its last open item."""
    check_move(ItemState.ROLLING_BACK, ItemState.STRANDED)

    def work(connection: Connection) -> bool:
        first = connection.execute(
            text(
                "UPDATE items SET state = 'Stranded', owner = NULL, lease_until = NULL, "
                "not_before = clock_timestamp() + make_interval(secs => :delay_s), "
                "error = jsonb_set(error, '{opaque}', COALESCE(error->'opaque', '{}') "
                "|| jsonb_build_object('undo', CAST(:failures AS jsonb))), "
                "finished_at = COALESCE(finished_at, clock_timestamp()) "
                "FROM (SELECT uuid, finished_at AS before FROM items WHERE uuid = :item_uuid) old "
                "WHERE items.uuid = old.uuid AND fence = :fence AND state = 'RollingBack' "
                "RETURNING old.before IS NULL"
            ),
            claim.key | {"delay_s": delay_s, "failures": dumps(failures)},
        ).scalar_one_or_none()
        if first is None:
            raise LeaseLost
        return bool(first) and count_end(connection, claim, ItemState.FAILED)

    return database.run(work)


def end_rolled_back(database: Database, claim: Claim, ends_as: ItemState) -> bool:
    """Nothing of the clone is left on host or storage: its rows and reservations go too. True if
    that ended the last open item of its job."""
    check_move(ItemState.ROLLING_BACK, ends_as)

    def work(connection: Connection) -> bool:
        first = connection.execute(
            text(
                "UPDATE items SET state = CAST(:ends_as AS item_state), owner = NULL, "
                "lease_until = NULL, finished_at = COALESCE(finished_at, clock_timestamp()), "
                # Somebody else held it before, whose last call may still be on its way.
                "recheck_at = CASE WHEN fence > 1 THEN clock_timestamp() "
                " + make_interval(secs => :recheck_s) END "
                "FROM (SELECT uuid, finished_at AS before FROM items WHERE uuid = :item_uuid) old "
                "WHERE items.uuid = old.uuid AND fence = :fence AND state = 'RollingBack' "
                "RETURNING old.before IS NULL"
            ),
            claim.key | {"ends_as": ends_as, "recheck_s": RECHECK_S},
        ).scalar_one_or_none()
        if first is None:
            raise LeaseLost
        if _is_first_start(connection, claim.item_uuid):
            put_back.to_record(connection, claim.plan.vm_uuid, claim.volume_uuids)
        else:
            forget_vm(connection, claim.plan.vm_uuid, claim.volume_uuids)
        return bool(first) and count_end(connection, claim, ends_as)

    return database.run(work)


def plan_to_recheck(database: Database, item_uuid: str) -> ClonePlan | None:
    """Of an item that was taken back and whose host is to be looked at again."""
    with database.single() as connection:
        plan = connection.scalar(
            text(
                # A record may have been started again meanwhile.
                "SELECT plan FROM items WHERE uuid = :uuid AND recheck_at IS NOT NULL "
                "AND NOT EXISTS (SELECT 1 FROM vm_instances v WHERE v.uuid = items.vm_uuid "
                " AND v.state <> 'Created')"
            ),
            {"uuid": item_uuid},
        )
    found = plan_from_json(plan) if plan else None
    return found if isinstance(found, ClonePlan) else None


def rechecked(database: Database, item_uuid: str) -> None:
    with database.single() as connection:
        connection.execute(
            text("UPDATE items SET recheck_at = NULL WHERE uuid = :uuid"), {"uuid": item_uuid}
        )


def forget_vm(connection: Connection, vm_uuid: str, volume_uuids: Sequence[str]) -> None:
    """Delete a VM's rows and give back all it held. NICs, addresses and CD-ROMs go with it."""
    capacity.release(connection, [vm_uuid, *volume_uuids])
    connection.execute(delete(Tag).where(col(Tag.resource_uuid).in_([vm_uuid, *volume_uuids])))
    connection.execute(delete(Volume).where(col(Volume.uuid).in_(volume_uuids)))
    connection.execute(delete(VmInstance).where(col(VmInstance.uuid) == vm_uuid))


def give_up_unclaimed(
    connection: Connection, item_uuid: str, *, to: ItemState, error: CloneError | None = None
) -> bool:
    """A Granted item that no worker ever took leaves that state by the database alone. False if
    it was claimed meanwhile."""
    check_move(ItemState.GRANTED, to)
    first_start = _is_first_start(connection, item_uuid)
    kind = connection.scalar(
        text("SELECT kind::text FROM items WHERE uuid = :uuid"), {"uuid": item_uuid}
    )
    row = connection.execute(
        update(Item)
        .where(
            col(Item.uuid) == item_uuid,
            col(Item.state) == ItemState.GRANTED,
            col(Item.fence) == 0,
        )
        .values(
            state=to,
            host_uuid=None,
            plan=None,
            published_at=None,
            error=error_to_json(error) if error else None,
        )
        .returning(col(Item.vm_uuid), col(Item.volume_uuids))
    ).one_or_none()
    if row is None:
        return False
    if kind != JobKind.CLONE and not first_start:
        if kind == JobKind.START:
            put_back.to_stopped(connection, row.vm_uuid)
        else:
            spare_vm(connection, row.vm_uuid)
        return True
    connection.execute(text("DELETE FROM steps WHERE item_uuid = :uuid"), {"uuid": item_uuid})
    if first_start:
        put_back.to_record(connection, row.vm_uuid, row.volume_uuids)
    else:
        forget_vm(connection, row.vm_uuid, row.volume_uuids)
    return True


# A record that is made a VM: a clone's plan for what is no clone job's name.
FIRST_START = "(items.kind = 'start' AND COALESCE(items.plan ? 'strategy', FALSE))"


def _is_first_start(connection: Connection, item_uuid: str) -> bool:
    return bool(
        connection.scalar(
            text(f"SELECT {FIRST_START} FROM items WHERE uuid = :uuid"),  # noqa: S608
            {"uuid": item_uuid},
        )
    )


def spare_vm(connection: Connection, vm_uuid: str) -> None:
    """Nobody began to remove it: it is as it was."""
    connection.execute(
        text(
            "UPDATE vm_instances SET last_op_at = clock_timestamp(), "
            "state = CASE WHEN destroyed_at IS NOT NULL THEN 'Destroyed' "
            " WHEN host_uuid IS NOT NULL THEN 'Running' ELSE 'Stopped' END::vm_state "
            "WHERE uuid = :uuid"
        ),
        {"uuid": vm_uuid},
    )


def send_back_made(
    connection: Connection, job_uuid: str, *, to: ItemState, error: CloneError, limit: int
) -> int:
    """Made items of a job that comes to nothing are taken back, by whoever claims them next; how
    many they were. Raises LeaseLost where the job began to finish at the same moment."""
    check_move(ItemState.MADE, ItemState.ROLLING_BACK)
    sent = connection.execute(
        text(
            "UPDATE items SET state = 'RollingBack', ends_as = :to, published_at = NULL, "
            "lease_until = clock_timestamp(), error = CAST(:error AS jsonb) WHERE uuid IN "
            "(SELECT uuid FROM items WHERE job_uuid = :job_uuid AND state = 'Made' "
            " ORDER BY uuid LIMIT :limit FOR UPDATE)"
        ),
        {"job_uuid": job_uuid, "to": to, "error": _json(error), "limit": limit},
    ).rowcount
    if not sent:
        return 0
    running = connection.execute(
        text("SELECT 1 FROM jobs WHERE uuid = :uuid AND state = 'Running' FOR NO KEY UPDATE"),
        {"uuid": job_uuid},
    ).one_or_none()
    if running is None:
        raise LeaseLost
    return sent


def first_failure(connection: Connection, job_uuid: str) -> str:
    """The job's first failed name and why, in a sentence."""
    row = connection.execute(
        text(
            "SELECT name, error->>'details' AS why FROM items WHERE job_uuid = :uuid "
            "AND state IN ('Failed', 'Canceled', 'Stranded') ORDER BY finished_at LIMIT 1"
        ),
        {"uuid": job_uuid},
    ).one_or_none()
    return f"The first one was {row.name}: {row.why}" if row else ""


def fail_waiting(connection: Connection, job_uuid: str, failures: Mapping[str, CloneError]) -> bool:
    """These Waiting items end by the database alone, each with its error. True if that ended the
    last open item of the job."""
    check_move(ItemState.WAITING, ItemState.FAILED)
    changed = connection.execute(
        text(
            "UPDATE items SET state = 'Failed', wait_reason = NULL, error = failed.error, "
            "finished_at = clock_timestamp() "
            "FROM jsonb_to_recordset(CAST(:failures AS jsonb)) AS failed(uuid text, error jsonb) "
            "WHERE items.uuid = failed.uuid AND state = 'Waiting'"
        ),
        {
            "failures": dumps(
                [{"uuid": uuid, "error": error_to_json(error)} for uuid, error in failures.items()]
            )
        },
    ).rowcount
    for uuid in failures:
        add_end_event(connection, job_uuid, uuid, ItemState.FAILED)
    return count_ends(connection, job_uuid, ItemState.FAILED, changed)


def end_waiting(
    connection: Connection,
    job_uuid: str,
    *,
    to: ItemState,
    error: CloneError | ErrorCode,
    only: Sequence[str] | None = None,
) -> int:
    """The job's Waiting items, or `only` these, end by the database alone; how many they were."""
    check_move(ItemState.WAITING, to)
    which = [] if only is None else [col(Item.uuid).in_(only)]
    return connection.execute(
        update(Item)
        .where(col(Item.job_uuid) == job_uuid, col(Item.state) == ItemState.WAITING, *which)
        .values(
            state=to,
            wait_reason=None,
            error=error_to_json(error),
            finished_at=func.clock_timestamp(),
        )
    ).rowcount


def count_ends(connection: Connection, job_uuid: str, state: ItemState, number: int) -> bool:
    """Move the job's counters, the last statement of an item's last transaction. True when they
    have come to the total."""
    column = {
        ItemState.SUCCEEDED: "succeeded",
        ItemState.FAILED: "failed",
        ItemState.CANCELED: "canceled",
    }[state]
    still_open = connection.execute(
        text(
            f"UPDATE job_counters SET {column} = {column} + :number WHERE job_uuid = :job_uuid "  # noqa: S608
            "RETURNING total - succeeded - failed - canceled"
        ),
        {"job_uuid": job_uuid, "number": number},
    ).scalar_one()
    return bool(still_open == 0)


def count_end(connection: Connection, claim: Claim, state: ItemState) -> bool:
    add_end_event(connection, claim.job_uuid, claim.item_uuid, state)
    return count_ends(connection, claim.job_uuid, state, 1)


def add_end_event(connection: Connection, job_uuid: str, item_uuid: str, state: ItemState) -> None:
    connection.execute(
        Event.__table__.insert(),  # type: ignore[attr-defined]
        {"job_uuid": job_uuid, "item_uuid": item_uuid, "kind": f"item.{state.lower()}"},
    )


def _hold(connection: Connection, claim: Claim, state: ItemState) -> None:
    """The item's row, held until the transaction ends. Raises LeaseLost if it is not ours."""
    held = connection.execute(
        text(
            "SELECT 1 FROM items WHERE uuid = :item_uuid AND fence = :fence "
            "AND state = CAST(:state AS item_state) FOR UPDATE"
        ),
        claim.key | {"state": state},
    ).one_or_none()
    if held is None:
        raise LeaseLost


def _leave(
    database: Database,
    claim: Claim,
    old: ItemState,
    new: ItemState,
    assignments: str,
    parameters: dict[str, Any] | None = None,
) -> None:
    check_move(old, new)
    with database.single() as connection:
        changed = connection.execute(
            text(
                f"UPDATE items SET state = '{new}', owner = NULL, lease_until = NULL, "  # noqa: S608
                f"{assignments} WHERE uuid = :item_uuid AND fence = :fence AND state = '{old}'"
            ),
            claim.key | (parameters or {}),
        ).rowcount
    if not changed:
        raise LeaseLost


def _json(error: CloneError) -> str:
    return dumps(error_to_json(error))


def dumps(value: Any) -> str:
    """As a parameter that is cast to jsonb."""
    return orjson.dumps(value).decode()
