"""The clone known to its hypervisor."""

from app.domain.plan import ClonePlan
from app.domain.steps import StepName
from workers.context import StepContext
from workers.steps.base import Step, StepResult


class DefineVm(Step):
    """Make the clone known to its host's hypervisor, stopped.

    Needs:   its volumes, and its NICs prepared
    Leaves:  a domain named by the VM's uuid
    Raises:  HostDisconnected (retried), OperationFailed (final)
    Undo:    forget the domain and all the hypervisor keeps for it; absent counts as undone
    """

    name = StepName.DEFINE_VM

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:
        ctx.hypervisor.define(plan, ctx.template)
        return StepResult()

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        ctx.hypervisor.undefine(plan.vm_uuid)
