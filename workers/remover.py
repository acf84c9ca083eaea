"""Removes one VM: powered off, then, expunged, its domain and volumes. Every call may be
repeated; nothing is taken back, because what is half removed is removed by the next try."""

from app.domain import paths
from app.domain.errors import CloneError, OperationFailed
from app.domain.removal import RemovalPlan
from app.store import items, removals
from app.store.leases import Claim, LeaseLost
from app.store.models import VmState
from app.store.session import DATABASE_AWAY
from workers.context import WorkerContext
from workers.lease import Draining, Lease
from workers.retrying import put_off


def remove_vm(claim: Claim, plan: RemovalPlan, lease: Lease, worker: WorkerContext) -> bool | None:
    """Whether that ended the last open item of its job; None where it goes on later."""
    lease.begin_undo()  # begun, it is not cancelled half-way
    try:
        _remove(plan, lease, worker)
    except Draining:
        items.hand_back(worker.database, claim)
        return None
    except (LeaseLost, *DATABASE_AWAY):
        raise
    except Exception as error:
        return _failed(claim, plan, error, worker)
    return removals.succeed(worker.database, claim, plan)


def _remove(plan: RemovalPlan, lease: Lease, worker: WorkerContext) -> None:
    hypervisor = worker.hypervisor(plan.host)
    _begin(lease)
    hypervisor.destroy(plan.vm_uuid)
    if not plan.expunges:
        # Its domain stays, with the firmware's and the TPM's state: it may be recovered.
        if hypervisor.is_running(plan.vm_uuid):
            raise OperationFailed(f"vm[uuid:{plan.vm_uuid}] still runs on its host")
        return
    _begin(lease)
    hypervisor.undefine(plan.vm_uuid)
    if hypervisor.is_running(plan.vm_uuid) is not None:
        raise OperationFailed(f"vm[uuid:{plan.vm_uuid}] is still defined on its host")
    _begin(lease)
    hypervisor.detach_nics(plan.nics)
    for volume in plan.volumes:
        _begin(lease)
        storage = worker.storage(volume.storage)
        storage.drop(paths.seed_path(volume.storage, plan.vm_uuid))
        storage.delete_volume(volume)


def _begin(lease: Lease) -> None:
    """Each call has the step's limit for itself."""
    lease.checkpoint()
    lease.begin_step()


def _failed(
    claim: Claim, plan: RemovalPlan, error: Exception, worker: WorkerContext
) -> bool | None:
    """Again later if it may pass, else the VM stays as its host has it."""
    lasting = put_off(claim, error, worker)
    if lasting is None:
        return None
    return removals.fail(worker.database, claim, lasting, _state_of(plan, worker))


def _state_of(plan: RemovalPlan, worker: WorkerContext) -> VmState:
    try:
        runs = worker.hypervisor(plan.host).is_running(plan.vm_uuid)
    except CloneError:
        return VmState.UNKNOWN
    if runs is None:  # its domain is gone: as good as destroyed
        return VmState.DESTROYED
    return VmState.RUNNING if runs else VmState.STOPPED
