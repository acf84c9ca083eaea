"""What a job that removes VMs is to do with one of them."""

from dataclasses import dataclass

from app.domain.plan import HostRef, NicPlan, VolumeFile


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """Fixed when the job starts, as a clone's plan by its grant. Destroyed, a VM keeps its volumes
    and addresses and may be recovered; expunged, nothing of it is left."""

    vm_uuid: str
    host: HostRef  # where it runs, or ran last
    volumes: tuple[VolumeFile, ...]
    nics: tuple[NicPlan, ...]
    expunges: bool
    was: str | None = None  # the state that the VM had; None: a plan of an earlier version
