"""Looks once more at the host of a name that was taken back.

A call to a hypervisor may outlive the process that made it: sent by a worker that was killed, it
may be carried out after the next worker has undone the step. What shows up is removed.
"""

import logging

from app.domain.errors import CloneError
from app.store import items
from workers.context import WorkerContext

log = logging.getLogger(__name__)


def recheck(item_uuid: str, worker: WorkerContext) -> None:
    """Safe to call twice, late, or for an item that needs none."""
    lock = worker.lock(item_uuid)
    if not lock.try_acquire():
        return
    try:
        plan = items.plan_to_recheck(worker.database, item_uuid)
        if plan is None:
            return
        hypervisor = worker.hypervisor(plan.host)
        if hypervisor.is_running(plan.vm_uuid) is not None:
            log.warning("a late call had defined it again", extra={"vm": plan.vm_uuid})
        hypervisor.destroy(plan.vm_uuid)
        hypervisor.undefine(plan.vm_uuid)
        hypervisor.detach_nics(plan.nics)
        items.rechecked(worker.database, item_uuid)
    except CloneError as error:
        log.warning("not looked at again yet: %s", error.details)
    finally:
        lock.release()
