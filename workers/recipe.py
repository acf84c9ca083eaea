"""The clone steps in running order: read this first.

`allocate_host` is not here: the scheduler's grant did it, and the item's last transaction gives
it back. Which of these an item takes is its plan's to say.
"""

from app.domain.steps import StepName
from workers.steps.attach_nics import AttachNics
from workers.steps.base import Step
from workers.steps.copy_volumes import CopyDataVolumes, CopyRootVolume
from workers.steps.customize_guest import CustomizeGuest
from workers.steps.define_vm import DefineVm
from workers.steps.start_vm import StartVm

RECIPE: tuple[Step, ...] = (
    CopyRootVolume(),
    CopyDataVolumes(),
    AttachNics(),
    CustomizeGuest(),
    DefineVm(),
    StartVm(),
)


def steps_for(names: tuple[StepName, ...]) -> list[Step]:
    return [step for step in RECIPE if step.name in names]
