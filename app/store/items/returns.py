"""Items that their worker lets go of, to be claimed again: now, or later."""

from typing import Any

from sqlalchemy import text

from app.domain.errors import CloneError
from app.domain.states import ItemState, check_move
from app.store.codec import dumps, error_to_json
from app.store.leases import Claim, LeaseLost
from app.store.session import Database

AGAIN_S = 5.0  # before a claim that could not be used


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
        {"delay_s": delay_s, "reason": reason, "error": dumps(error_to_json(error))},
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
