"""What people do to a job that runs: cancel, pause, resume. Each verb only writes flags and ends
what no worker holds; whoever holds an item reads the flag with its next heartbeat."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.domain.errors import OperationCanceled
from app.domain.states import ItemState, JobState, check_move
from app.store import items, jobs


@dataclass(frozen=True, slots=True)
class Controlled:
    """A job or item as a verb found it."""

    state: str
    already: bool  # somebody asked for the same before


def cancel_job(connection: Connection, job_uuid: str) -> Controlled:
    """Every name that has not ended will be taken back. The names are ended by the sweeper, in
    batches: ten thousand waiting ones must not hold up the caller."""
    found = _flag(connection, job_uuid, "cancel_requested_at")
    if not found.already and found.state == JobState.RUNNING:
        _hurry(connection, "job_uuid = :uuid", job_uuid)
    return found


def pause_job(connection: Connection, job_uuid: str) -> Controlled:
    """Nothing new begins. What a worker holds runs on; the deadline waits."""
    found = _flag(connection, job_uuid, "paused_at")
    if not found.already and found.state in {JobState.ACCEPTED, JobState.RUNNING}:
        connection.execute(
            text("UPDATE jobs SET wait_reason = 'paused' WHERE uuid = :uuid"), {"uuid": job_uuid}
        )
    return found


def resume_job(connection: Connection, job_uuid: str) -> Controlled:
    """As before the pause, with a deadline later by its length."""
    resumed = connection.execute(
        text(
            "UPDATE jobs SET deadline_at = deadline_at + (clock_timestamp() - paused_at), "
            "paused_at = NULL, wait_reason = NULL "
            "WHERE uuid = :uuid AND paused_at IS NOT NULL AND state IN ('Accepted', 'Running') "
            "RETURNING state::text"
        ),
        {"uuid": job_uuid},
    ).scalar_one_or_none()
    if resumed is not None:
        return Controlled(resumed, already=False)
    state = _state(connection, job_uuid)
    return Controlled(state, already=state in {JobState.ACCEPTED, JobState.RUNNING})


def cancel_item(connection: Connection, item_uuid: str) -> Controlled:
    """One name: ended here where no worker ever held it, else by whoever holds it."""
    row = connection.execute(
        text(
            "UPDATE items SET cancel_requested_at = COALESCE(cancel_requested_at, "
            " clock_timestamp()) WHERE uuid = :uuid "
            "RETURNING job_uuid, state::text, fence, cancel_requested_at < now() AS already"
        ),
        {"uuid": item_uuid},
    ).one()
    if row.state == ItemState.WAITING:
        check_move(ItemState.WAITING, ItemState.CANCELED)
        items.end_waiting(
            connection,
            row.job_uuid,
            to=ItemState.CANCELED,
            error=OperationCanceled(),
            only=[item_uuid],
        )
        _count(connection, row.job_uuid)
    elif row.state == ItemState.GRANTED and row.fence == 0:
        items.give_up_unclaimed(
            connection, item_uuid, to=ItemState.CANCELED, error=OperationCanceled()
        )
        _count(connection, row.job_uuid)
    else:
        _hurry(connection, "uuid = :uuid", item_uuid)
    return Controlled(row.state, row.already)


def _count(connection: Connection, job_uuid: str) -> None:
    if items.count_ends(connection, job_uuid, ItemState.CANCELED, 1):
        jobs.begin_finishing(connection, job_uuid)


def _flag(connection: Connection, job_uuid: str, column: str) -> Controlled:
    row = connection.execute(
        text(
            f"UPDATE jobs SET {column} = clock_timestamp() "  # noqa: S608
            f"WHERE uuid = :uuid AND {column} IS NULL AND state IN ('Accepted', 'Running') "
            "RETURNING state::text"
        ),
        {"uuid": job_uuid},
    ).one_or_none()
    if row is not None:
        return Controlled(row.state, already=False)
    flagged = connection.scalar(
        text(f"SELECT {column} IS NOT NULL FROM jobs WHERE uuid = :uuid"),  # noqa: S608
        {"uuid": job_uuid},
    )
    return Controlled(_state(connection, job_uuid), already=bool(flagged))


def _state(connection: Connection, job_uuid: str) -> str:
    return str(
        connection.scalar(
            text("SELECT state::text FROM jobs WHERE uuid = :uuid"), {"uuid": job_uuid}
        )
    )


def _hurry(connection: Connection, which: str, uuid: str) -> None:
    """Items that wait for another attempt are taken up at once, to be taken back."""
    connection.execute(
        text(
            "UPDATE items SET not_before = NULL, published_at = NULL "  # noqa: S608
            f"WHERE {which} AND state = 'Granted' AND fence > 0"
        ),
        {"uuid": uuid},
    )
