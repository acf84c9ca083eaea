"""Copies a running source: one snapshot holds all its cloned volumes still, at one moment, while
they are copied. Where the snapshot leads is journalled first; ending it is `workers.put_back`'s.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from app.domain import paths
from app.domain.errors import SnapshotOutgrown, SourceVolumeBusy
from app.domain.plan import SourceRef, SourceVolume
from app.domain.snapshots import BlockJob, FrozenDisk, Place
from app.settings import Settings
from app.store import bases, made_bases, snapshots
from app.store.base_claims import BaseClaim
from app.store.made_bases import MadeBase
from workers.base_copy import check_one_moment, copy_all, made_domain
from workers.context import WorkerContext
from workers.hypervisors.base import Hypervisor, SourceLook
from workers.hypervisors.snapshots import RunningDisk, Snapshots
from workers.lease import Lease
from workers.storage import overlays

WATCH_S = 0.5


@dataclass(frozen=True, slots=True)
class RunningSource:
    ref: SourceRef
    look: SourceLook
    volumes: Sequence[SourceVolume]
    hypervisor: Hypervisor
    reset_tpm: bool


def copy_running(
    source: RunningSource, claim: BaseClaim, lease: Lease, worker: WorkerContext
) -> None:
    """The set is Ready, of the moment of a snapshot that is owed from now on. It serves the jobs
    that waited for it, and nobody later: nothing tells that the source did not go on since.

    Raises SourceVolumeBusy, SnapshotOutgrown and what the drivers raise; the snapshot may be owed
    then, too."""
    driver = source.hypervisor.snapshots
    assert driver is not None  # of a hypervisor that says that a source runs
    # Before the driver, to which an overlay of ours would be somebody's.
    snapshots.check_none(worker.database, claim.vm_uuid)
    domain_uuid, disks = driver.disks(source.ref, source.volumes)
    prepared = source.hypervisor.prepare(
        source.ref, source.look, source.volumes, reset_tpm=source.reset_tpm
    )
    files = bases.name_files(
        worker.database, claim, [(disk.volume, disk.allocated) for disk in disks]
    )
    frozen = [_with_overlay(disk, worker.settings) for disk in disks]
    lease.checkpoint()
    snapshots.journal(worker.database, claim, domain_uuid, frozen)
    consistency = driver.freeze(domain_uuid, frozen)
    snapshots.frozen(worker.database, claim)
    still = [replace(volume, frozen=True) for volume in source.volumes]
    watch = OverlayWatch(frozen, lease, worker)
    made = copy_all(still, files, prepared, worker, watch, lease.next_volume)
    _check_still(driver, domain_uuid, frozen)
    check_one_moment(still, made, worker)
    domain = made_domain(prepared, source.look)
    made_bases.ready(worker.database, claim, _never_reused(made), domain, consistency=consistency)


def _with_overlay(disk: RunningDisk, settings: Settings) -> FrozenDisk:
    uuid = uuid4().hex
    return FrozenDisk(
        target=disk.target,
        volume_uuid=disk.volume.uuid,
        storage=disk.volume.storage,
        overlay_uuid=uuid,
        overlay_path=paths.overlay_path(disk.volume.storage, uuid),
        chain=disk.chain,
        allowance=max(
            settings.snapshot_minimum_bytes, int(disk.virtual_size * settings.snapshot_share)
        ),
    )


def _check_still(driver: Snapshots, domain_uuid: str, disks: Sequence[FrozenDisk]) -> None:
    """What was copied is what the snapshot held: nobody ended it meanwhile. Where the source was
    stopped, or started again, it holds all the same."""
    for disk in disks:
        look = driver.look(domain_uuid, disk, overlays.look(disk), confirmed=True)
        if look.running and (look.live is Place.NONE or look.job is not BlockJob.NONE):
            what = driver.describe(domain_uuid, disk)
            raise SourceVolumeBusy(
                f"the snapshot of disk {disk.target} was ended while it was copied ({what}); it "
                "is copied again"
            )


def _never_reused(made: Sequence[MadeBase]) -> list[MadeBase]:
    return [replace(base, signature=[]) for base in made]


class OverlayWatch:
    """The control of copies that end early where the source writes more than there is room for."""

    def __init__(self, disks: Sequence[FrozenDisk], lease: Lease, worker: WorkerContext) -> None:
        self._disks = disks
        self._lease = lease
        self._worker = worker
        self._looked_at_s = 0.0

    @property
    def inherited_descriptors(self) -> Sequence[int]:
        return self._lease.inherited_descriptors

    @property
    def rate_bytes_s(self) -> int | None:
        return self._lease.rate_bytes_s

    def progress(self, bytes_done: int) -> None:
        self._lease.progress(bytes_done)

    def checkpoint(self) -> None:
        self._lease.checkpoint()
        now_s = time.monotonic()
        if now_s - self._looked_at_s >= WATCH_S:
            self._looked_at_s = now_s
            for disk in self._disks:
                self._check_room(disk)

    def _check_room(self, disk: FrozenDisk) -> None:
        taken = overlays.allocated(disk)
        if taken > disk.allowance:
            raise SnapshotOutgrown(
                f"the running source wrote {taken} bytes to disk {disk.target} while it was "
                f"copied, and may write {disk.allowance}: the copy was given up and the disk put "
                "back. Clone it when it writes less, or raise VMCLONE_SNAPSHOT_SHARE or "
                "VMCLONE_SNAPSHOT_MINIMUM_BYTES"
            )
        facts = self._worker.storage(disk.storage).facts()
        stop_at = int(facts.total_bytes * self._worker.settings.storage_keep_free)
        if facts.free_bytes < stop_at:
            raise SnapshotOutgrown(
                f"primary storage {disk.storage.url} has {facts.free_bytes} bytes free, less than "
                f"the {stop_at} it keeps, while the running source writes there: the copy was "
                f"given up and disk {disk.target} put back. Make room"
            )
