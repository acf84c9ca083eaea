"""What is done with a VM that is there: which states allow it, and the plan for its host."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.errors import CloneError, OperationFailed, VmStateNotAllowed
from app.domain.plan import HostRef
from app.domain.steps import StepName


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """Fixed when the job starts, as a clone's plan by its grant."""

    operation: str  # start, stop, reboot or update: a JobKind
    vm_uuid: str
    vm_name: str
    host: HostRef
    steps: tuple[StepName, ...]
    was: str | None = None  # the state that the VM had; None: a plan of an earlier version
    grace: bool = True  # stopping asks the guest first
    cpu_num: int = 0  # update: what the domain has afterwards
    memory_size: int = 0  # bytes


# By message, ZStack's list; where the state is already what is asked for nothing is to be done.
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "APIStartVmInstanceMsg": ("Created", "Stopped", "Running"),
    "APIStopVmInstanceMsg": ("Running", "Stopped", "Unknown"),
    "APIRebootVmInstanceMsg": ("Running",),
    "APIDestroyVmInstanceMsg": ("Created", "Running", "Stopped", "Unknown", "Paused", "Crashed"),
    "APIRecoverVmInstanceMsg": ("Destroyed",),
    "APIExpungeVmInstanceMsg": ("Destroyed",),
}


def check_state(message: str, state: str, vm_uuid: str) -> None:
    """Raises OperationFailed with the cause VmStateNotAllowed, in ZStack's words."""
    allowed = ALLOWED.get(message)
    if allowed is not None and state not in allowed:
        raise not_allowed(
            f"current vm instance state[{state}] doesn't allow to proceed message[{message}], "
            f"allowed states are [{', '.join(allowed)}]",
            vm_uuid,
        )


def not_allowed(details: str, vm_uuid: str) -> CloneError:
    cause = VmStateNotAllowed(details)
    return OperationFailed(f"vm[uuid:{vm_uuid}]: {details}", cause=cause)
