"""The states of a job, an item and a base set, and the one table of allowed moves for each.

Nothing here knows how a move is stored: `app.store` is the only writer of a state column, and it
asks `check_move` before it writes.
"""

from enum import StrEnum


class JobState(StrEnum):
    ACCEPTED = "Accepted"  # the row is committed, nothing is judged yet
    RUNNING = "Running"  # its items exist
    FINISHING = "Finishing"  # every item has ended, the result is being written
    FINISHED = "Finished"


class JobOutcome(StrEnum):
    SUCCEEDED = "Succeeded"
    PARTIALLY_SUCCEEDED = "PartiallySucceeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


class ItemState(StrEnum):
    WAITING = "Waiting"
    GRANTED = "Granted"  # the scheduler reserved everything for it
    RUNNING = "Running"  # a worker holds its lease
    MADE = "Made"  # complete, but its job decides for all items together
    ROLLING_BACK = "RollingBack"
    STRANDED = "Stranded"  # an undo failed: every reservation is kept, it is tried again
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


class BaseSetState(StrEnum):
    WANTED = "Wanted"
    MAKING = "Making"  # a worker holds its lease
    READY = "Ready"
    DELETING = "Deleting"  # nothing refers to it; its files are being removed
    FAILED = "Failed"  # made nothing; kept only until its jobs have read the error


class WaitReason(StrEnum):
    BASE = "base"
    SOURCE_BUSY = "sourceBusy"
    HOST_SLOTS = "hostSlots"
    STORAGE_SLOTS = "storageSlots"
    STORAGE_RATE = "storageRate"
    SOURCE_SLOTS = "sourceSlots"
    ACCOUNT_SHARE = "accountShare"
    RELEASING = "releasing"  # what it needs is held by items that are rolling back
    RETRY = "retry"
    PAUSED = "paused"
    HOST_LOST = "hostLost"


ENDED = frozenset({ItemState.SUCCEEDED, ItemState.FAILED, ItemState.CANCELED})
LEASED = frozenset({ItemState.RUNNING, ItemState.ROLLING_BACK})
# What takes up one of its host's slots.
OCCUPYING = frozenset({ItemState.GRANTED, ItemState.RUNNING, ItemState.ROLLING_BACK})

JOB_MOVES = frozenset(
    {
        (JobState.ACCEPTED, JobState.RUNNING),
        (JobState.ACCEPTED, JobState.FINISHED),  # refused at start
        (JobState.RUNNING, JobState.FINISHING),
        (JobState.FINISHING, JobState.FINISHED),
    }
)

ITEM_MOVES = frozenset(
    {
        (ItemState.WAITING, ItemState.GRANTED),
        (ItemState.WAITING, ItemState.CANCELED),  # before any side effect; database alone
        (ItemState.WAITING, ItemState.FAILED),
        (ItemState.GRANTED, ItemState.RUNNING),
        (ItemState.GRANTED, ItemState.WAITING),  # never claimed: host gone or job paused
        (ItemState.GRANTED, ItemState.CANCELED),  # never claimed; database alone
        (ItemState.GRANTED, ItemState.FAILED),
        (ItemState.RUNNING, ItemState.GRANTED),  # a passing fault: host, uuids, reservations kept
        (ItemState.RUNNING, ItemState.MADE),
        (ItemState.RUNNING, ItemState.SUCCEEDED),
        (ItemState.RUNNING, ItemState.FAILED),  # of a VM that is there: nothing is taken back
        (ItemState.RUNNING, ItemState.CANCELED),
        (ItemState.RUNNING, ItemState.ROLLING_BACK),
        (ItemState.MADE, ItemState.ROLLING_BACK),
        (ItemState.MADE, ItemState.SUCCEEDED),
        (ItemState.ROLLING_BACK, ItemState.FAILED),  # nothing of ours is left
        (ItemState.ROLLING_BACK, ItemState.CANCELED),
        (ItemState.ROLLING_BACK, ItemState.STRANDED),
        (ItemState.STRANDED, ItemState.ROLLING_BACK),
    }
)

BASE_SET_MOVES = frozenset(
    {
        (BaseSetState.WANTED, BaseSetState.MAKING),
        (BaseSetState.WANTED, BaseSetState.DELETING),  # no job waits for it any more
        (BaseSetState.MAKING, BaseSetState.WANTED),  # a passing fault, or the source was busy
        (BaseSetState.MAKING, BaseSetState.READY),
        (BaseSetState.MAKING, BaseSetState.FAILED),
        (BaseSetState.MAKING, BaseSetState.DELETING),  # an equal set was Ready already
        (BaseSetState.READY, BaseSetState.DELETING),
        (BaseSetState.FAILED, BaseSetState.DELETING),
    }
)

MOVES: frozenset[tuple[StrEnum, StrEnum]] = JOB_MOVES | ITEM_MOVES | BASE_SET_MOVES


class IllegalMove(Exception):
    """A move that the tables above do not allow: a defect of the caller."""


def check_move(old: StrEnum, new: StrEnum) -> None:
    """Raise `IllegalMove` unless the tables allow this pair."""
    if (old, new) not in MOVES:
        raise IllegalMove(f"{type(old).__name__} cannot move from {old} to {new}")


def outcome_of(*, total: int, succeeded: int, canceled: int) -> JobOutcome:
    """How the items' ends add up to their job's outcome."""
    if succeeded == total:
        return JobOutcome.SUCCEEDED
    if succeeded:
        return JobOutcome.PARTIALLY_SUCCEEDED
    return JobOutcome.CANCELED if canceled == total else JobOutcome.FAILED
