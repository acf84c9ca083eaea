"""A hypervisor's snapshots of a source that always runs: real overlay files, everything else in
memory, and told what to raise and when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.plan import BackingFile, SourceRef, SourceVolume
from app.domain.snapshots import BlockJob, Consistency, DiskLook, FrozenDisk, Overlay, Place
from tests.storage import MIB
from workers.hypervisors.snapshots import RunningDisk
from workers.storage import qcow2


@dataclass
class FakeSnapshots:
    """`on` are the overlays that disks stand on, `jobs` those that are being written back."""

    on: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)
    suspended: bool = False
    before: Callable[[str], None] = lambda _: None

    def disks(
        self, source: SourceRef, volumes: Sequence[SourceVolume]
    ) -> tuple[str, list[RunningDisk]]:
        self.before("disks")
        return "a-domain", [
            RunningDisk(
                target=f"vd{number}",
                volume=volume,
                chain=(BackingFile(volume.path, volume.format), *volume.backing),
                virtual_size=MIB,
                allocated=MIB,
            )
            for number, volume in enumerate(volumes)
        ]

    def freeze(self, domain_uuid: str, disks: Sequence[FrozenDisk]) -> Consistency:
        self.before("freeze")
        for disk in disks:
            with Path(disk.overlay_path).open("x+b") as file:
                qcow2.write_overlay(file.fileno(), MIB, disk.base.path, disk.base.format)
            self.on.add(disk.overlay_path)
        self.before("frozen")
        return Consistency.FILESYSTEM

    def look(
        self, domain_uuid: str, disk: FrozenDisk, overlay: Overlay | None, *, confirmed: bool
    ) -> DiskLook:
        place = Place.TOP if disk.overlay_path in self.on else Place.NONE
        job = BlockJob.READY if disk.overlay_path in self.jobs else BlockJob.NONE
        return DiskLook(True, place, place, job, overlay=overlay)

    def commit(self, domain_uuid: str, disk: FrozenDisk, *, below: bool) -> None:
        self.before("commit")
        self.jobs.add(disk.overlay_path)

    def pivot(self, domain_uuid: str, disk: FrozenDisk) -> bool:
        self.before("pivot")
        self.jobs.discard(disk.overlay_path)
        self.on.discard(disk.overlay_path)
        return True

    def commit_hidden(self, domain_uuid: str, disk: FrozenDisk) -> None:
        raise NotImplementedError  # it is never behind libvirt's back

    pivot_hidden = let_go = rewrite = commit_hidden

    def moved(self, domain_uuid: str, disk: FrozenDisk) -> int:
        return 0

    def describe(self, domain_uuid: str, disk: FrozenDisk) -> str:
        return "nothing"

    def thaw(self, domain_uuid: str) -> None:
        self.before("thaw")

    def runs(self, domain_uuid: str) -> bool:
        return not self.suspended

    def suspend(self, domain_uuid: str) -> None:
        self.suspended = True

    def resume(self, domain_uuid: str) -> None:
        self.suspended = False
