"""Judges a job about one VM that is there, and takes its item on the host to its end.

Nothing is taken back by undoing steps: a start that failed is powered off, and otherwise the VM is
as its host has it. Every call may be repeated.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from app.domain.errors import (
    CloneError,
    InvalidArgument,
    NoHostAvailable,
    OperationCanceled,
    OperationFailed,
    PermissionDenied,
    ResourceNotFound,
)
from app.domain.operation import OperationPlan, check_state, not_allowed
from app.domain.plan import CloneStrategy, HostRef, HypervisorType
from app.domain.spec import CloneSpec
from app.domain.steps import StepName
from app.domain.vm_change import VmChange, parse_change, parse_stop
from app.store import items, lookups, operations, quotas
from app.store.codec import spec_from_json
from app.store.items import StepRecord
from app.store.leases import Claim, LeaseLost
from app.store.models import JobKind, Origin, QuotaName, VmState
from app.store.session import DATABASE_AWAY
from app.zstack.messages import of_kind
from workers.context import WorkerContext
from workers.hypervisors.base import Hypervisor
from workers.lease import Draining, Lease
from workers.retrying import put_off

GRACE_S = 60.0  # for a guest that was asked to power off
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class FirstStart:
    """A record that becomes a VM: the rest is a clone's."""

    vm: Row[Any]
    source_uuid: str
    spec: CloneSpec


@dataclass(frozen=True, slots=True)
class Begun:
    item_uuid: str | None  # None: all is done
    host_uuid: str | None = None  # None: it waits for its host


def hold_vm(connection: Connection, kind: JobKind, vm_uuid: str, account_uuid: str) -> Row[Any]:
    """The VM, its row held, where this may be done with it. Raises ResourceNotFound,
    PermissionDenied, InvalidArgument, OperationFailed with the cause VmStateNotAllowed."""
    message = of_kind(kind).short_class
    vm = operations.hold(connection, vm_uuid)
    if vm is None:
        raise ResourceNotFound(
            f"invalid field[uuid], resource[uuid:{vm_uuid}, type:VmInstanceVO] not found"
        )
    if not lookups.may_use(connection, account_uuid, vm.account_uuid):
        raise PermissionDenied(
            f"vm[uuid:{vm_uuid}] belongs to another account; sign in as its owner or as admin"
        )
    if vm.origin == Origin.ADOPTED:
        raise InvalidArgument(
            f"vm[uuid:{vm.uuid}, name:{vm.name}] was not made by vmclone, which never changes what "
            "it did not make; do it with what made it"
        )
    if vm.busy:
        raise not_allowed(
            f"vm[uuid:{vm.uuid}, name:{vm.name}] is {vm.state}: another operation on it is under "
            "way; wait for its end",
            vm.uuid,
        )
    check_state(message, vm.state, vm.uuid)
    return vm


def judge(
    connection: Connection, job_uuid: str, kind: JobKind, vm: Row[Any], request: Mapping[str, Any]
) -> Begun | FirstStart:
    """Raises CloneError where it cannot be done."""
    match kind:
        case JobKind.START:
            return _judge_start(connection, job_uuid, vm, request)
        case JobKind.STOP:
            grace = parse_stop(request)
            if vm.state == VmState.STOPPED:
                return Begun(operations.begin(connection, job_uuid, kind, vm, None))
            plan = replace(_plan(kind, vm, StepName.STOP_VM), grace=grace)
            return _grant(connection, job_uuid, plan, vm)
        case JobKind.REBOOT:
            plan = _plan(kind, vm, StepName.STOP_VM, StepName.START_VM)
            return _grant(connection, job_uuid, plan, vm)
        case JobKind.RECOVER:
            quotas.check(connection, vm.account_uuid, {QuotaName.VM_TOTAL_NUM: 1})
            operations.recover(connection, vm.uuid)
            return Begun(operations.begin(connection, job_uuid, kind, vm, None))
        case _:
            return _judge_update(connection, job_uuid, vm, parse_change(request))


def _judge_start(
    connection: Connection, job_uuid: str, vm: Row[Any], request: Mapping[str, Any]
) -> Begun | FirstStart:
    host, cluster = (str(request.get(f) or "") or None for f in ("hostUuid", "clusterUuid"))
    for field, uuid, kind in (("clusterUuid", cluster, "ClusterVO"), ("hostUuid", host, "HostVO")):
        if uuid and not lookups.exists(connection, kind, uuid):
            raise ResourceNotFound(
                f"invalid field[{field}], resource[uuid:{uuid}, type:{kind}] not found"
            )
    if vm.state == VmState.RUNNING:
        return Begun(operations.begin(connection, job_uuid, JobKind.START, vm, None))
    if vm.state == VmState.CREATED:
        if vm.blueprint is None:
            raise OperationFailed(f"vm[uuid:{vm.uuid}] is a record that nothing is known of")
        spec = replace(spec_from_json(vm.blueprint["spec"]), strategy=CloneStrategy.INSTANT_START)
        if host or cluster:
            spec = replace(spec, host_uuid=host, cluster_uuid=None if host else cluster)
        return FirstStart(vm, vm.blueprint["source"], spec)
    if host not in (None, vm.place_uuid) or cluster not in (None, vm.place_cluster):
        raise NoHostAvailable(
            f"No host with clusterUuid in [{cluster or ''}] hostUuid={host or ''} found: "
            f"vm[uuid:{vm.uuid}] is defined on host[uuid:{vm.place_uuid}], where it can start"
        )
    if not vm.place_enabled:
        raise NoHostAvailable("no Enabled hosts found in the [1] candidate hosts")
    need = {
        QuotaName.VM_NUM: 1,
        QuotaName.VM_CPU_NUM: vm.cpu_num,
        QuotaName.VM_MEMORY_SIZE: vm.memory_size,
    }
    quotas.check(connection, vm.account_uuid, need)
    quotas.note_need(connection, job_uuid, need)
    if vm.place_connected:
        operations.lock_capacity(connection)
        operations.reserve(connection, vm)
    plan = _plan(JobKind.START, vm, StepName.START_VM)
    return _grant(connection, job_uuid, plan, vm)


def _judge_update(connection: Connection, job_uuid: str, vm: Row[Any], change: VmChange) -> Begun:
    if change.state not in (None, vm.state):
        raise InvalidArgument(
            f"field[state]: vm[uuid:{vm.uuid}] is {vm.state}; start or stop it to change that"
        )
    operations.rename(connection, vm.uuid, change.texts)
    cpu, memory = change.cpu_num or vm.cpu_num, change.memory_size or vm.memory_size
    if (cpu, memory) == (vm.cpu_num, vm.memory_size):
        return Begun(operations.begin(connection, job_uuid, JobKind.UPDATE, vm, None))
    if vm.state == VmState.RUNNING:
        raise InvalidArgument(
            "the VM cannot do online cpu/memory update because of disabling Instance Offering "
            "Online Modification. Please stop the VM then do the cpu/memory update again"
        )
    if vm.state != VmState.STOPPED:
        raise OperationFailed(
            f"The state of vm[uuid:{vm.uuid}] is {vm.state}. Only these state[Running,Stopped] is "
            "allowed to update cpu or memory."
        )
    plan = replace(_plan(JobKind.UPDATE, vm, StepName.DEFINE_VM), cpu_num=cpu, memory_size=memory)
    return _grant(connection, job_uuid, plan, vm)


def _plan(kind: JobKind, vm: Row[Any], *steps: StepName) -> OperationPlan:
    host = HostRef(vm.place_uuid, vm.place_name, HypervisorType(vm.hypervisor_type), vm.libvirt_uri)
    return OperationPlan(kind, vm.uuid, vm.name, host, steps, was=vm.state)


def _grant(connection: Connection, job_uuid: str, plan: OperationPlan, vm: Row[Any]) -> Begun:
    kind = JobKind(plan.operation)
    item = operations.begin(connection, job_uuid, kind, vm, plan)
    if not vm.place_connected:
        return Begun(item)
    if kind in operations.DOING:
        operations.set_state(connection, vm.uuid, operations.DOING[kind], host_uuid=plan.host.uuid)
    return Begun(item, plan.host.uuid)


def operate(claim: Claim, plan: OperationPlan, lease: Lease, worker: WorkerContext) -> bool | None:
    """Whether that ended the last open item of its job; None where it goes on later."""
    left = [step for step in plan.steps if step not in claim.done]
    try:
        hypervisor = worker.hypervisor(plan.host)
        for step, following in zip(left, [*left[1:], None], strict=True):
            lease.checkpoint()
            lease.begin_step()
            began_s = time.monotonic()
            _DO[step](plan, hypervisor, lease)
            if following is not None:
                record = StepRecord(step, time.monotonic() - began_s, bytes_done=0)
                items.record_step(worker.database, claim, record, next_step=following)
    except Draining:
        items.hand_back(worker.database, claim)
        return None
    except (LeaseLost, *DATABASE_AWAY):
        raise
    except Exception as error:
        return _failed(claim, plan, error, lease, worker)
    return operations.succeed(worker.database, claim, plan)


def _stop(plan: OperationPlan, hypervisor: Hypervisor, lease: Lease) -> None:
    """Off; a guest that was asked and does not go is powered off, as on ZStack."""
    if plan.grace and hypervisor.is_running(plan.vm_uuid):
        hypervisor.shut_down(plan.vm_uuid)
        until_s = time.monotonic() + GRACE_S
        while hypervisor.is_running(plan.vm_uuid) and time.monotonic() < until_s:
            lease.checkpoint()
            time.sleep(LOOK_S)
    hypervisor.destroy(plan.vm_uuid)


def _start(plan: OperationPlan, hypervisor: Hypervisor, _: Lease) -> None:
    hypervisor.start(plan.vm_uuid)


def _resize(plan: OperationPlan, hypervisor: Hypervisor, _: Lease) -> None:
    hypervisor.resize(plan.vm_uuid, plan.cpu_num, plan.memory_size)


_DO: Mapping[StepName, Callable[[OperationPlan, Hypervisor, Lease], None]] = {
    StepName.STOP_VM: _stop,
    StepName.START_VM: _start,
    StepName.DEFINE_VM: _resize,
}


def _failed(
    claim: Claim, plan: OperationPlan, error: Exception, lease: Lease, worker: WorkerContext
) -> bool | None:
    """Again later if it may pass; else the VM is as it was, or as its host has it."""
    lasting = put_off(claim, error, worker)
    if lasting is None:
        return None
    if not isinstance(lasting, OperationCanceled):
        lasting = OperationFailed(
            f"unable to {plan.operation} vm[uuid:{plan.vm_uuid}, name:{plan.vm_name}]: "
            f"{lasting.details}",
            cause=lasting,
        )
    lease.begin_undo()
    state = _state_after(plan, worker)
    return operations.fail(worker.database, claim, plan, lasting, state)


def _state_after(plan: OperationPlan, worker: WorkerContext) -> VmState:
    """As its host has it; a start that failed is powered off first."""
    try:
        hypervisor = worker.hypervisor(plan.host)
        if plan.operation == JobKind.START:
            hypervisor.destroy(plan.vm_uuid)
        runs = hypervisor.is_running(plan.vm_uuid)
    except CloneError:
        return VmState.UNKNOWN
    return VmState.RUNNING if runs else VmState.STOPPED
