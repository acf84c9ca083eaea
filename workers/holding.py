"""How a worker comes to hold an item or a base set: the host's lock first, then the claim."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from app.store.items import Flags, LeaseLost
from app.store.session import DATABASE_AWAY
from workers.context import WorkerContext
from workers.fence import HostLock
from workers.lease import Lease, boottime_s

log = logging.getLogger(__name__)


class Fenced(Protocol):
    @property
    def fence(self) -> int: ...

    @property
    def flags(self) -> Flags: ...


C = TypeVar("C", bound=Fenced)


@contextmanager
def holding(
    uuid: str,
    worker: WorkerContext,
    *,
    claim: Callable[[], C | None],
    beat: Callable[[C, int], Flags | None],
) -> Iterator[tuple[C, Lease] | None]:
    """The claim with its lease, which beats until the end of the block; None where there is
    nothing to claim. LeaseLost ends the block quietly: whoever has it now goes on. So does a
    database that does not answer: whoever finds the lapsed lease goes on.

    With the lock in hand before the claim nothing is between the two. Where somebody else has the
    lock, the claim tells whether he may keep it; if not he is killed, and the fence is read again
    once the lock is held.
    """
    lock = worker.lock(uuid)
    held = None
    try:
        with _quietly(uuid):
            held = _take(lock, worker, claim, beat)
        with _quietly(uuid):
            yield held
    finally:
        worker.heart.release()
        lock.release()


def _take(
    lock: HostLock,
    worker: WorkerContext,
    claim: Callable[[], C | None],
    beat: Callable[[C, int], Flags | None],
) -> tuple[C, Lease] | None:
    first = lock.try_acquire()
    claimed_at_s = boottime_s()
    claimed = claim()
    if claimed is None:
        return None
    if not first:
        lock.wrest(claimed.fence)
    lock.note(claimed.fence)
    lease = Lease(
        lambda bytes_done: beat(claimed, bytes_done),
        lease_s=worker.settings.lease_s,
        claimed_at_s=claimed_at_s,
        flags=claimed.flags,
        lock_descriptor=lock.descriptor,
    )
    if not first:
        lease.extend()
    worker.heart.hold(lease)
    return claimed, lease


@contextmanager
def _quietly(uuid: str) -> Iterator[None]:
    try:
        yield
    except LeaseLost:
        log.info("somebody else has it now", extra={"held": uuid})
    except DATABASE_AWAY as error:
        log.warning(
            "the database does not answer, what is held is taken up again when the lease lapses",
            extra={"held": uuid, "error": str(error).partition("\n")[0]},
        )
