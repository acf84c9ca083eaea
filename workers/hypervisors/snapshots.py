"""What the engine asks of a hypervisor whose sources may run: one snapshot that holds them still,
and each small thing that puts a disk back. What is to be done next is `app.domain.snapshots`'.

Drivers raise HostDisconnected, DomainBusy and SourceVolumeBusy, which are tried again,
SourceNotCloneable and OperationFailed. Each call may be repeated; what it asked for may have been
done although it raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.plan import BackingFile, SourceRef, SourceVolume
from app.domain.snapshots import Consistency, DiskLook, FrozenDisk, Overlay


@dataclass(frozen=True, slots=True)
class RunningDisk:
    """A disk of a running domain that is to be cloned."""

    target: str  # such as vda
    volume: SourceVolume
    chain: tuple[BackingFile, ...]  # top first
    virtual_size: int
    allocated: int  # bytes on disk, of the whole chain


class Snapshots(Protocol):
    def disks(
        self, source: SourceRef, volumes: Sequence[SourceVolume]
    ) -> tuple[str, list[RunningDisk]]:
        """The domain's own uuid, and its disks in the order of `volumes`.

        Raises SourceVolumeBusy where anything is under way that a snapshot would meet, and
        SourceNotCloneable where a disk is not what the inventory declares."""

    def freeze(self, domain_uuid: str, disks: Sequence[FrozenDisk]) -> Consistency:
        """From one moment on the guest writes to the overlays, which did not exist before."""

    def look(
        self, domain_uuid: str, disk: FrozenDisk, overlay: Overlay | None, *, confirmed: bool
    ) -> DiskLook:
        """`confirmed`: who asked for the snapshot was told that it was taken.

        Raises SourceVolumeBusy where the domain may be on another host by now."""

    def commit(self, domain_uuid: str, disk: FrozenDisk, *, below: bool) -> None:
        """Begin to write back what the overlay holds. `below`: from under another snapshot, which
        then stands on the disk's own file by itself."""

    def pivot(self, domain_uuid: str, disk: FrozenDisk) -> bool:
        """The guest writes to the disk's own file again; False while not all is written back."""

    def commit_hidden(self, domain_uuid: str, disk: FrozenDisk) -> None: ...

    def pivot_hidden(self, domain_uuid: str, disk: FrozenDisk) -> None: ...

    def let_go(self, domain_uuid: str, disk: FrozenDisk) -> None:
        """The hypervisor closes an overlay that no disk stands on."""

    def rewrite(self, domain_uuid: str, disk: FrozenDisk) -> None:
        """What the domain starts with names the disk's own file again."""

    def moved(self, domain_uuid: str, disk: FrozenDisk) -> int:
        """Bytes that the job on the disk has written back so far; 0 without one."""

    def describe(self, domain_uuid: str, disk: FrozenDisk) -> str:
        """What keeps the disk from being put back, in words."""

    def thaw(self, domain_uuid: str) -> None:
        """The guest's file systems are not frozen: who was to thaw them may have died."""

    def runs(self, domain_uuid: str) -> bool:
        """It is active and nobody has suspended it."""

    def suspend(self, domain_uuid: str) -> None: ...

    def resume(self, domain_uuid: str) -> None:
        """A domain that runs, or is gone, is left alone."""
