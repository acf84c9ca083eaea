"""What makes the clone itself and not its source."""

from app.domain.plan import ClonePlan
from app.domain.steps import StepName
from workers.context import StepContext
from workers.guest.cloud_config import documents
from workers.guest.seed import make_seed
from workers.steps.base import Step, StepResult


class CustomizeGuest(Step):
    """Give the clone its CD-ROM drives and tags, and the seed that tells its guest who it is.

    Needs:   the plan's drives, tags, NICs and identity
    Leaves:  a whole image at the plan's seed path; rows, which the runner writes with the record
    Raises:  PrimaryStorageFull (final), StorageUnavailable and VolumeIOError (retried)
    Undo:    delete the seed, absent counts as undone; the rows go with the VM's
    Source:  docs/kvm.md
    """

    name = StepName.CUSTOMIZE_GUEST

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:
        if plan.identity is not None and plan.seed_path is not None:
            root = plan.root_volume
            seed = make_seed(documents(plan.identity, plan.nics))
            ctx.storage(root.storage).put(plan.seed_path, seed, part_of=root.uuid)
        return StepResult(cdroms=plan.cdroms, tags=plan.tags)

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        if plan.seed_path is not None:
            ctx.storage(plan.root_volume.storage).drop(plan.seed_path)
