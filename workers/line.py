"""A host's line of granted items: a message wakes a process, which takes what there is.

Messages wake processes, and the database says what there is to do: a busy host costs a message a
turn and not one a name. After its turn a process goes back to its queue, where, on a machine with
several simulated hosts, the other hosts wait. Bases go ahead of names.
"""

import logging
import time
from collections.abc import Callable

from app.log_fields import add_log_fields, log_fields
from app.queue import TaskName, host_queue
from app.store import base_claims, items, leases
from app.store.leases import Claim
from app.store.session import DATABASE_AWAY
from workers.base_maker import prepare_base
from workers.context import WorkerContext
from workers.holding import holding
from workers.lease import is_draining
from workers.runner import publish_end, run

log = logging.getLogger(__name__)

TURN_S = 0.15
LONG_S = 0.05  # items that take so long end rarely enough for a message when there are no more


def work(host_uuid: str, first_uuid: str, worker: WorkerContext) -> None:
    """Make a base that the host's machine is asked for; or else take the item as far as it goes
    now, if it is one of this host's, then what else is granted to the host, first in line first.
    Safe to call twice, late, or for what somebody else has."""
    if _make_base(host_uuid, first_uuid, worker):
        return
    turn_ends_s = time.monotonic() + TURN_S
    more = True
    took_s = _take(
        lambda **who: leases.claim(worker.database, first_uuid, host_uuid, **who), worker
    )
    # Each turn runs one item at least, however long it took to find one.
    while more and not is_draining() and not (took_s and time.monotonic() > turn_ends_s):
        next_s = _take(lambda **who: leases.claim_next(worker.database, host_uuid, **who), worker)
        more, took_s = next_s is not None, took_s if next_s is None else next_s
    if more:
        # Also where this worker stops: whoever is there, or comes, goes on at once.
        worker.publish(TaskName.CLONE_VM, first_uuid, queue=host_queue(host_uuid))
    if took_s is not None and (not more or took_s >= TURN_S):
        # While there is more in line the scheduler's timer is enough, unless items take so long
        # that who looks next does not know of this one: slots may be few, and none stays empty.
        worker.wake_scheduler(at_once=took_s >= LONG_S)


def _make_base(host_uuid: str, first_uuid: str, worker: WorkerContext) -> bool:
    """Whether there was one to make. All names of a job wait for its base, whose own message waits
    in the queue behind the turns of other jobs' names. This turn goes back, for a base may take
    hours."""
    try:
        wanted = base_claims.next_wanted(worker.database, host_uuid)
    except DATABASE_AWAY:
        return False
    if wanted is None or is_draining():
        return False
    worker.publish(TaskName.CLONE_VM, first_uuid, queue=host_queue(host_uuid))
    with log_fields(base_set_uuid=wanted):
        prepare_base(wanted, worker)
    return True


def _take(claim: Callable[..., Claim | None], worker: WorkerContext) -> float | None:
    """Run what can be claimed; how many seconds it took. None where there was nothing to claim, or
    the database did not say."""
    with log_fields():
        return _take_up(claim, worker)


def _take_up(claim: Callable[..., Claim | None], worker: WorkerContext) -> float | None:
    lease_s = worker.settings.lease_s
    claimed: list[Claim] = []

    def claims() -> Claim | None:
        found = claim(owner=worker.name, lease_s=lease_s)
        if found is not None:
            claimed.append(found)
            add_log_fields(job_uuid=found.job_uuid, item_uuid=found.item_uuid)
            log.debug("name taken up", extra={"attempt": found.attempts, "fence": found.fence})
        return found

    held = holding(
        worker,
        claim=claims,
        beat=lambda mine, bytes_done: leases.beat(
            worker.beats, mine, lease_s=lease_s, bytes_done=bytes_done
        ),
        hand_back=lambda mine: items.give_up(worker.database, mine),
    )
    complete = None
    began_s = time.monotonic()
    with held as mine:
        if mine is not None:
            complete = run(mine.claim, mine.lease, worker)
    took_s = time.monotonic() - began_s
    # Not under the lock: the broker may be slow, and who wants the lock kills its holder.
    if complete is not None:
        log.info("name at rest", extra={"elapsed_s": round(took_s, 6)})
        publish_end(worker, claimed[0].job_uuid, complete)
    return took_s if claimed else None
