"""Items that end, or wait again, while no worker holds them: by the database alone."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, insert, literal, select, text, update
from sqlmodel import col

from app.domain.errors import CloneError, ErrorCode
from app.domain.states import ItemState, check_move
from app.store import put_back
from app.store.codec import dumps, error_to_json
from app.store.items.counts import add_end_event, count_ends, end_event
from app.store.models import Event, Item, JobKind

# A record that is made a VM: a clone's plan for what is no clone job's name.
FIRST_START = "(items.kind = 'start' AND COALESCE(items.plan ? 'strategy', FALSE))"


def is_first_start(connection: Connection, item_uuid: str) -> bool:
    return bool(
        connection.scalar(
            text(f"SELECT {FIRST_START} FROM items WHERE uuid = :uuid"),  # noqa: S608
            {"uuid": item_uuid},
        )
    )


def give_up_unclaimed(
    connection: Connection, item_uuid: str, *, to: ItemState, error: CloneError | None = None
) -> bool:
    """A Granted item that no worker ever took leaves that state by the database alone. False if
    it was claimed meanwhile. What was to be done with a VM that is there is still known where the
    item waits again."""
    check_move(ItemState.GRANTED, to)
    had = connection.execute(
        text(
            f"SELECT kind::text AS kind, {FIRST_START} AS first_start, plan->>'was' AS was, "  # noqa: S608
            "plan FROM items WHERE uuid = :uuid AND state = 'Granted' AND fence = 0 FOR UPDATE"
        ),
        {"uuid": item_uuid},
    ).one_or_none()
    if had is None:
        return False
    makes = had.kind == JobKind.CLONE or had.first_start
    ends = to is not ItemState.WAITING
    row = connection.execute(
        update(Item)
        .where(col(Item.uuid) == item_uuid)
        .values(
            state=to,
            host_uuid=None,
            plan=None if makes or ends else had.plan,
            published_at=None,
            error=error_to_json(error) if error else None,
            finished_at=func.clock_timestamp() if ends else None,
        )
        .returning(col(Item.job_uuid), col(Item.vm_uuid), col(Item.volume_uuids))
    ).one()
    # Also of one that waits again: no row on its way tells of it.
    add_end_event(connection, row.job_uuid, item_uuid, to)
    if makes:
        connection.execute(text("DELETE FROM steps WHERE item_uuid = :uuid"), {"uuid": item_uuid})
        unmake = put_back.to_record if had.first_start else put_back.forget_vm
        unmake(connection, row.vm_uuid, row.volume_uuids)
    elif had.kind == JobKind.START:
        put_back.to_stopped(connection, row.vm_uuid)
    else:
        put_back.spare_vm(connection, row.vm_uuid, had.was)
    return True


def fail_waiting(connection: Connection, job_uuid: str, failures: Mapping[str, CloneError]) -> bool:
    """These Waiting items end by the database alone, each with its error. True if that ended the
    last open item of the job."""
    check_move(ItemState.WAITING, ItemState.FAILED)
    changed = connection.execute(
        text(
            "UPDATE items SET state = 'Failed', wait_reason = NULL, error = failed.error, "
            "finished_at = clock_timestamp() "
            "FROM jsonb_to_recordset(CAST(:failures AS jsonb)) AS failed(uuid text, error jsonb) "
            "WHERE items.uuid = failed.uuid AND state = 'Waiting' RETURNING items.uuid"
        ),
        {
            "failures": dumps(
                [{"uuid": uuid, "error": error_to_json(error)} for uuid, error in failures.items()]
            )
        },
    ).scalars()
    ended = list(changed)
    for uuid in ended:
        add_end_event(connection, job_uuid, uuid, ItemState.FAILED)
    return count_ends(connection, job_uuid, ItemState.FAILED, len(ended))


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
    ended = (
        update(Item)
        .where(col(Item.job_uuid) == job_uuid, col(Item.state) == ItemState.WAITING, *which)
        .values(
            state=to,
            wait_reason=None,
            error=error_to_json(error),
            finished_at=func.clock_timestamp(),
        )
        .returning(col(Item.job_uuid), col(Item.uuid), literal(end_event(to)))
        .cte("ended")
    )
    told = (
        insert(Event)
        .from_select(["job_uuid", "item_uuid", "kind"], select(ended))
        .returning(col(Event.id))
        .cte("told")
    )
    return connection.execute(select(func.count()).select_from(told)).scalar_one()
