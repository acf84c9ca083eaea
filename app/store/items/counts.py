"""What the ends of items are to their job: its counters, its events."""

from sqlalchemy import Connection, text

from app.domain.states import ItemState
from app.store.leases import Claim
from app.store.models import Event


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
        {"job_uuid": job_uuid, "item_uuid": item_uuid, "kind": end_event(state)},
    )


def end_event(state: ItemState) -> str:
    """Each item has one, once: `store.tallies` counts by it."""
    return f"item.{state.lower()}"


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
