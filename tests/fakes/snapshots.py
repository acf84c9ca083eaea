"""A hypervisor's snapshots of a source that always runs: real overlay files, and beside them a file
that says what the hypervisor does with them, so that it outlives who asked; told what to raise and
when."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from app.domain.plan import BackingFile, HostRef, SourceRef, SourceVolume
from app.domain.snapshots import BlockJob, Consistency, DiskLook, FrozenDisk, Overlay, Place
from app.settings import Settings
from tests.storage import MIB
from workers.hypervisors.base import SourceLook
from workers.hypervisors.simulator import SimulatorHypervisor
from workers.hypervisors.snapshots import RunningDisk
from workers.storage import qcow2


@dataclass(frozen=True)
class Seen:
    on: tuple[str, ...] = ()  # the overlays that disks stand on
    jobs: tuple[str, ...] = ()  # those that are being written back
    suspended: bool = False


@dataclass
class FakeSnapshots:
    file: Path
    before: Callable[[str], None] = lambda _: None

    @property
    def seen(self) -> Seen:
        if not self.file.exists():
            return Seen()
        said = json.loads(self.file.read_text())
        return Seen(tuple(said["on"]), tuple(said["jobs"]), said["suspended"])

    def be(self, **changes: Any) -> None:
        """At once, as libvirt does it."""
        whole = self.file.with_suffix(".whole")
        whole.write_text(json.dumps(asdict(replace(self.seen, **changes))))
        whole.replace(self.file)

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
        self.be(on=[*self.seen.on, *(disk.overlay_path for disk in disks)])
        self.before("frozen")
        return Consistency.FILESYSTEM

    def look(
        self, domain_uuid: str, disk: FrozenDisk, overlay: Overlay | None, *, confirmed: bool
    ) -> DiskLook:
        place = Place.TOP if disk.overlay_path in self.seen.on else Place.NONE
        job = BlockJob.READY if disk.overlay_path in self.seen.jobs else BlockJob.NONE
        return DiskLook(True, place, place, job, overlay=overlay)

    def commit(self, domain_uuid: str, disk: FrozenDisk, *, below: bool) -> None:
        self.before("commit")
        self.be(jobs=[*self.seen.jobs, disk.overlay_path])

    def pivot(self, domain_uuid: str, disk: FrozenDisk) -> bool:
        self.before("pivot")
        now = self.seen
        self.be(
            on=[path for path in now.on if path != disk.overlay_path],
            jobs=[path for path in now.jobs if path != disk.overlay_path],
        )
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
        return not self.seen.suspended

    def suspend(self, domain_uuid: str) -> None:
        self.be(suspended=True)

    def resume(self, domain_uuid: str) -> None:
        self.be(suspended=False)


class RunningSimulator(SimulatorHypervisor):
    """A simulated host whose sources run."""

    def __init__(self, host: HostRef, settings: Settings, snapshots: FakeSnapshots) -> None:
        super().__init__(host, settings)
        self._snapshots = snapshots

    @property
    def snapshots(self) -> FakeSnapshots:  # type: ignore[override]
        return self._snapshots

    def look_at(self, source: SourceRef) -> SourceLook:
        return SourceLook(running=True)
