"""What makes the clone itself and not its source."""

from app.domain.plan import ClonePlan
from app.domain.steps import StepName
from workers.context import StepContext
from workers.steps.base import Step, StepResult


class CustomizeGuest(Step):
    """Give the clone its CD-ROM drives and tags.

    Needs:   the plan's drives and tags
    Leaves:  their rows, which the runner writes with the step's record
    Undo:    nothing on host or storage; the rows go with the VM's
    """

    name = StepName.CUSTOMIZE_GUEST

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:  # noqa: ARG002
        return StepResult(cdroms=plan.cdroms, tags=plan.tags)

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        """The rows go in the item's last transaction."""
