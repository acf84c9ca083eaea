"""The clone's own volumes, made from the job's bases, and new ones."""

from collections.abc import Sequence

from app.domain.plan import CloneMethod, ClonePlan, VolumePlan
from app.domain.steps import StepName
from workers.context import StepContext
from workers.steps.base import Step, StepResult


class CopyRootVolume(Step):
    """Give the clone its own root volume.

    Needs:   the plan's root volume with its uuid, path and base, from the grant
    Leaves:  a whole file of that path with the base's content
    Raises:  PrimaryStorageFull (final), StorageUnavailable and VolumeIOError (retried)
    Undo:    delete the volume's file; an absent file counts as undone
    """

    name = StepName.COPY_ROOT_VOLUME
    removes_volumes = True

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:
        return _copy([plan.root_volume], ctx)

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        ctx.storage(plan.root_volume.storage).delete_volume(plan.root_volume)


class CopyDataVolumes(Step):
    """Give the clone its own copy of each data volume of the source, all of the same moment, and
    the new disks that were asked for.

    Needs, leaves, raises and undo: as CopyRootVolume, for each of the plan's data volumes
    """

    name = StepName.COPY_DATA_VOLUMES
    removes_volumes = True

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:
        return _copy(plan.data_volumes, ctx)

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        for volume in plan.data_volumes:
            ctx.storage(volume.storage).delete_volume(volume)


def _copy(volumes: Sequence[VolumePlan], ctx: StepContext) -> StepResult:
    made = {}
    for volume in volumes:
        ctx.lease.next_volume()
        storage = ctx.storage(volume.storage)
        make = storage.hand_over if _takes_base(volume, ctx) else storage.clone
        made[volume.uuid] = make(volume, ctx.lease)
    return StepResult(volumes=made)


def _takes_base(volume: VolumePlan, ctx: StepContext) -> bool:
    """A base that nobody else needs becomes its last full copy: one full clone is one copy."""
    return (
        volume.method is CloneMethod.FULL
        and volume.base is not None
        and volume.storage == volume.base.storage
        and volume.size == volume.base.virtual_size
        and ctx.take_base(volume)
    )
