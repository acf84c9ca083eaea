import itertools
from enum import StrEnum

import pytest

from app.domain import states
from app.domain.states import (
    BaseSetState,
    IllegalMove,
    ItemState,
    JobOutcome,
    JobState,
    check_move,
    outcome_of,
)


@pytest.mark.parametrize("kind", [JobState, ItemState, BaseSetState])
def test_every_move_is_allowed_exactly_where_the_table_says(kind: type[StrEnum]) -> None:
    for old, new in itertools.product(kind, kind):
        if (old, new) in states.MOVES:
            check_move(old, new)
        else:
            with pytest.raises(IllegalMove):
                check_move(old, new)


def test_an_ended_item_moves_no_more() -> None:
    assert not {old for old, _ in states.ITEM_MOVES} & states.ENDED


def test_every_state_can_be_reached_and_left_until_it_is_ended() -> None:
    reached = {ItemState.WAITING} | {new for _, new in states.ITEM_MOVES}
    left = {old for old, _ in states.ITEM_MOVES}
    assert reached == set(ItemState)
    assert left | states.ENDED == set(ItemState)


@pytest.mark.parametrize(
    ("total", "succeeded", "canceled", "outcome"),
    [
        (3, 3, 0, JobOutcome.SUCCEEDED),
        (3, 1, 0, JobOutcome.PARTIALLY_SUCCEEDED),
        (3, 1, 2, JobOutcome.PARTIALLY_SUCCEEDED),  # what stands, stands
        (3, 0, 3, JobOutcome.CANCELED),
        (3, 0, 1, JobOutcome.FAILED),
        (3, 0, 0, JobOutcome.FAILED),
    ],
)
def test_items_add_up_to_their_jobs_outcome(
    total: int, succeeded: int, canceled: int, outcome: JobOutcome
) -> None:
    assert outcome_of(total=total, succeeded=succeeded, canceled=canceled) is outcome
