"""An item's moves after its grant: the one door, whoever makes them.

Every move is guarded by the old state and, once a worker holds the item, by its fence: no row
changed means that somebody else has it, and `LeaseLost` says so. The statements that each item
takes on its way are single ones that are their own transaction.

`steps`: recorded, up to the last; `returns`: let go by its worker, to go on later; `rollbacks`:
taken back; `unheld`: ended while no worker had it; `counts`: what its end is to its job.
"""

from app.store.items.counts import add_end_event, count_end, count_ends, first_failure
from app.store.items.returns import give_up, hand_back, hand_back_rollback, retry_later
from app.store.items.rollbacks import (
    RECHECK_S,
    begin_rollback,
    end_rolled_back,
    plan_to_recheck,
    rechecked,
    record_undo,
    send_back_made,
    strand,
)
from app.store.items.steps import StepRecord, record_step, succeed
from app.store.items.unheld import FIRST_START, end_waiting, fail_waiting, give_up_unclaimed

__all__ = [
    "FIRST_START",
    "RECHECK_S",
    "StepRecord",
    "add_end_event",
    "begin_rollback",
    "count_end",
    "count_ends",
    "end_rolled_back",
    "end_waiting",
    "fail_waiting",
    "first_failure",
    "give_up",
    "give_up_unclaimed",
    "hand_back",
    "hand_back_rollback",
    "plan_to_recheck",
    "rechecked",
    "record_step",
    "record_undo",
    "retry_later",
    "send_back_made",
    "strand",
    "succeed",
]
