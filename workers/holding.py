"""How a worker comes to hold an item or a base set: the claim, then the host's lock."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.store.leases import Flags, LeaseLost
from app.store.session import DATABASE_AWAY
from workers.context import WorkerContext
from workers.fence import HostLock
from workers.lease import Lease, boottime_s

log = logging.getLogger(__name__)


class Fenced(Protocol):
    @property
    def uuid(self) -> str: ...

    @property
    def fence(self) -> int: ...

    @property
    def flags(self) -> Flags: ...


C = TypeVar("C", bound=Fenced)
AT_ONCE_S = 0.05  # a lock that took no longer came with the claim


@dataclass(frozen=True, slots=True)
class Held(Generic[C]):
    claim: C
    lease: Lease


@contextmanager
def holding(
    worker: WorkerContext,
    *,
    claim: Callable[[], C | None],
    beat: Callable[[C, int], Flags | None],
    hand_back: Callable[[C], None],
) -> Iterator[Held[C] | None]:
    """The claim with its lease, which beats until the end of the block; None where there is
    nothing to claim. LeaseLost ends the block quietly: whoever has it now goes on. So does a
    database that does not answer: whoever finds the lapsed lease goes on.

    A holder of the lock with an older fence is killed. Where the lock cannot be had (a child of a
    killed worker still writes, the disk is full) the claim is handed back, which counts as nothing.
    The block's first checkpoint finds the lease still valid, or somebody else may have come and
    gone before the lock was held.
    """
    lock, held = None, None
    try:
        with _quietly():
            claimed_at_s = boottime_s()
            claimed = claim()
            if claimed is not None:
                try:
                    lock = worker.lock(claimed.uuid, claimed.fence)
                    held = Held(claimed, _lock(lock, worker, claimed, claimed_at_s, beat))
                except (LeaseLost, OSError) as error:
                    log.warning("its lock is held: %r", error, extra={"held": claimed.uuid})
                    hand_back(claimed)
        with _quietly():
            yield held
    finally:
        worker.heart.release()
        if lock is not None:
            lock.release()


def _lock(
    lock: HostLock,
    worker: WorkerContext,
    claimed: C,
    claimed_at_s: float,
    beat: Callable[[C, int], Flags | None],
) -> Lease:
    first = lock.try_acquire()
    if not first:
        lock.wrest()
    lease = Lease(
        lambda bytes_done: beat(claimed, bytes_done),
        lease_s=worker.settings.lease_s,
        claimed_at_s=claimed_at_s,
        flags=claimed.flags,
        lock_descriptor=lock.descriptor,
    )
    if not first or boottime_s() - claimed_at_s > AT_ONCE_S:
        lease.extend()  # which reads the fence again
    worker.heart.hold(lease)
    return lease


@contextmanager
def _quietly() -> Iterator[None]:
    try:
        yield
    except LeaseLost:
        log.info("somebody else has it now")
    except DATABASE_AWAY as error:
        log.warning(
            "the database does not answer, what is held is taken up again when the lease lapses",
            extra={"error": str(error).partition("\n")[0]},
        )
