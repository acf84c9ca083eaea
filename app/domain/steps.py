"""The names of the steps, in running order, so that anyone can say "4 of 7"."""

from enum import StrEnum


class StepName(StrEnum):
    STOP_VM = "stop_vm"  # of a VM that is there already
    ALLOCATE_HOST = "allocate_host"  # done by the scheduler's grant
    COPY_ROOT_VOLUME = "copy_root_volume"
    COPY_DATA_VOLUMES = "copy_data_volumes"
    ATTACH_NICS = "attach_nics"
    CUSTOMIZE_GUEST = "customize_guest"
    DEFINE_VM = "define_vm"
    START_VM = "start_vm"


def steps_of(*, data_volumes: bool, customize: bool, start: bool) -> tuple[StepName, ...]:
    """The steps one item takes, in running order; those it does not need are left out."""
    left_out = {StepName.STOP_VM}
    if not data_volumes:
        left_out.add(StepName.COPY_DATA_VOLUMES)
    if not customize:
        left_out.add(StepName.CUSTOMIZE_GUEST)
    if not start:
        left_out.add(StepName.START_VM)
    return tuple(step for step in StepName if step not in left_out)
