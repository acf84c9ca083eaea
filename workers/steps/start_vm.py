"""The clone running."""

from app.domain.plan import ClonePlan
from app.domain.steps import StepName
from workers.context import StepContext
from workers.steps.base import Step, StepResult


class StartVm(Step):
    """Start the clone.

    Needs:   a defined domain; CPU and memory, reserved by the grant
    Leaves:  it running
    Raises:  HostDisconnected (retried), VmStartFailed (final)
    Undo:    power it off; absent counts as undone
    """

    name = StepName.START_VM

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:
        ctx.hypervisor.start(plan.vm_uuid)
        return StepResult()

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        ctx.hypervisor.destroy(plan.vm_uuid)
