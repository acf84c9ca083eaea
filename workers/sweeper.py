"""Finds due work that nobody has in hand and publishes it again: engine's answer to every lost
message and dead process. Its whole list is `sweep`, in order."""

import logging
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.queue import CONTROL_QUEUE, TaskName, host_queue
from app.store import base_sets, due, lost_hosts, removals, tallies
from app.store.hosts import SEEN_WITHIN_S
from app.store.leases import LeaseLost
from workers.context import WorkerContext

log = logging.getLogger(__name__)

REFUSED_RETENTION_S = 3600.0
MOST_BATCHES = 4  # of ends counted in one pass


def sweep(worker: WorkerContext) -> None:
    """One pass. Each line is a transaction of its own, and publishes after its commit."""
    settings = worker.settings
    run = worker.database.run
    steal = run(lambda c: due.begin_pass(c, lease_s=settings.lease_s))
    if steal is None:
        return  # another sweeper is at it
    _publish(worker, TaskName.START, run(due.accepted_jobs))
    _publish_to_hosts(worker, TaskName.PREPARE_BASE, lambda c: due.base_sets(c, steal=steal))
    _publish_to_hosts(worker, TaskName.PUT_BACK, lambda c: due.owing_base_sets(c, steal=steal))
    run(lambda c: due.take_back_unclaimed(c, host_silent_s=2 * SEEN_WITHIN_S))
    for job_uuid in run(due.stopped_jobs):
        _end_unheld(worker, job_uuid)
    if steal:
        run(lost_hosts.end_overdue)
    _wake_hosts(worker, due.stranded_items, most=due.BATCH)
    _wake_hosts(worker, lambda c: due.lapsed_items(c, steal=steal), most=due.BATCH)
    _wake_hosts(worker, due.unclaimed_items)
    _publish_to_hosts(worker, TaskName.RECHECK, due.rechecks)
    run(due.complete_jobs)
    _publish(worker, TaskName.FINISH, run(due.finishing_jobs))
    run(lambda c: base_sets.mark_unused(c, grace_s=settings.base_grace_s))
    _publish_to_hosts(worker, TaskName.REMOVE_BASE, due.removable_base_sets)
    _count_ended(worker)
    run(
        lambda c: due.expired_jobs(
            c, retention_s=settings.job_retention_s, refused_s=REFUSED_RETENTION_S
        )
    )
    expunges = run(lambda c: removals.ask_for_expired(c, after_s=settings.destroyed_retention_s))
    if expunges:
        worker.publish(TaskName.START, expunges)
    run(due.expired_keys)
    run(due.expired_sessions)


def _end_unheld(worker: WorkerContext, job_uuid: str) -> None:
    with suppress(LeaseLost):
        while worker.database.run(lambda c: due.end_unheld(c, job_uuid)):
            pass
    worker.publish(TaskName.FINISH, job_uuid)  # nothing happens while others hold names of it


def _count_ended(worker: WorkerContext) -> None:
    """Before what was counted is deleted. What is due never waits for numbers that go wrong."""
    try:
        for _ in range(MOST_BATCHES):
            if not worker.database.run(tallies.count_ended):
                return
    except DBAPIError:
        log.exception("what ended could not be counted")


def _publish(worker: WorkerContext, task: TaskName, uuids: list[str]) -> None:
    if uuids:
        log.info("publishing due work", extra={"task": task, "count": len(uuids)})
        worker.publish(task, *uuids, queue=CONTROL_QUEUE)


def _wake_hosts(
    worker: WorkerContext, find: Callable[[Connection], due.ByHost], *, most: int | None = None
) -> None:
    """With a message for each, where only that leads to it, as long as no more than `most` wait."""
    for host_uuid, uuids in worker.database.run(find).items():
        log.info("waking a host for due work", extra={"host": host_uuid, "count": len(uuids)})
        worker.wake_host(host_uuid, uuids, most=most)


def _publish_to_hosts(
    worker: WorkerContext, task: TaskName, find: Callable[[Connection], due.ByHost]
) -> None:
    for host_uuid, uuids in worker.database.run(find).items():
        log.info("publishing due work", extra={"task": task, "count": len(uuids)})
        worker.publish(task, *uuids, queue=host_queue(host_uuid))
