"""The host's side of the clone's NICs."""

from app.domain.plan import ClonePlan
from app.domain.steps import StepName
from workers.context import StepContext
from workers.steps.base import Step, StepResult


class AttachNics(Step):
    """Prepare what the host's network needs for the clone's NICs.

    Needs:   the plan's NICs with MAC and address, reserved by the grant
    Leaves:  the host ready to plug them in
    Raises:  HostDisconnected (retried)
    Undo:    take it back; absent counts as undone
    """

    name = StepName.ATTACH_NICS

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:
        ctx.hypervisor.attach_nics(plan)
        return StepResult()

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        ctx.hypervisor.detach_nics(plan.nics)
