"""The snapshot that holds a running source still while it is copied, and how its disks get back to
where they were: what is seen of a disk, and the one thing to do next.

The overlay of a disk is the file that its guest writes to meanwhile. Putting back means that what
the overlay holds is in the disk's own file again, that the domain names that file, and that the
overlay is gone.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.plan import BackingFile, StorageRef


class Consistency(StrEnum):
    """What a base set's moment is worth to who boots from it."""

    APPLICATION = "application"  # the guest's applications had written all they wanted to
    FILESYSTEM = "filesystem"  # its file systems were frozen
    CRASH = "crash"  # as after the power went
    OFFLINE = "offline"  # the guest did not run


@dataclass(frozen=True, slots=True)
class FrozenDisk:
    """A disk of a running source, and the overlay that it is given; named before it exists."""

    target: str  # such as vda
    volume_uuid: str
    storage: StorageRef  # below whose root the overlay lies
    overlay_uuid: str
    overlay_path: str
    chain: tuple[BackingFile, ...]  # what the disk stood on before, top first
    allowance: int  # bytes that the overlay may take
    # The overlay may have been left for the disk's own file from here on, whether or not the
    # order to do so ever arrived.
    leaving: bool = False

    @property
    def base(self) -> BackingFile:
        """The file that the guest wrote to before, and will again."""
        return self.chain[0]


class Place(StrEnum):
    """Where the overlay is in a disk's chain."""

    TOP = "top"
    BELOW = "below"  # somebody else's snapshot stands on it
    LOOSE = "loose"  # QEMU has it open, and no disk stands on it
    NONE = "none"


class BlockJob(StrEnum):
    NONE = "none"
    RUNNING = "running"  # ours: what the overlay holds is being written back
    READY = "ready"  # ours: all of it is written back
    LOST = "lost"  # libvirt waits for a job that QEMU does not have (any more)
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Overlay:
    """Its file."""

    open: bool  # by any process
    written: bool  # a guest wrote to it
    newest: bool  # written later than the disk's own file


@dataclass(frozen=True, slots=True)
class DiskLook:
    """One moment of a disk. `qemu` and `hidden_job` are asked for only where libvirt's word and
    the file's locks do not go together."""

    running: bool  # the domain does
    live: Place = Place.NONE  # by libvirt's live XML
    inactive: Place = Place.NONE  # in what the domain starts with
    job: BlockJob = BlockJob.NONE
    qemu: Place = Place.NONE
    hidden_job: BlockJob = BlockJob.NONE  # one that QEMU has and libvirt does not know of
    overlay: Overlay | None = None  # None: there is no such file


class Action(StrEnum):
    COMMIT = "commit"
    COMMIT_BELOW = "commitBelow"  # from under somebody else's snapshot
    WAIT = "wait"
    PIVOT = "pivot"
    COMMIT_HIDDEN = "commitHidden"  # past libvirt, which does not know that the overlay is in use
    PIVOT_HIDDEN = "pivotHidden"
    LET_GO = "letGo"  # QEMU is to close it
    COMMIT_OFFLINE = "commitOffline"
    REWRITE = "rewrite"  # the inactive XML
    REMOVE = "remove"  # the file
    BUSY = "busy"  # somebody else is at this disk, or has the file open
    COVERED = "covered"  # a stopped domain's overlay under somebody else's
    DIVERGED = "diverged"  # the guest wrote to the overlay, and now runs without it
    LINGER = "linger"  # put back, but libvirt names the overlay until the domain stops
    DONE = "done"


def next_action(look: DiskLook, *, leaving: bool) -> Action:
    """What brings the disk nearer to where it was; DONE or LINGER once it is there."""
    if not look.running:
        return _of_stopped(look, leaving=leaving)
    if look.job is BlockJob.LOST or look.live is Place.NONE:
        return _past_libvirt(look, leaving=leaving)
    if look.job is not BlockJob.NONE:
        return _OF_JOB[look.job]
    return Action.COMMIT if look.live is Place.TOP else Action.COMMIT_BELOW


_OF_JOB = {
    BlockJob.RUNNING: Action.WAIT,
    BlockJob.READY: Action.PIVOT,
    BlockJob.FOREIGN: Action.BUSY,
}


def _past_libvirt(look: DiskLook, *, leaving: bool) -> Action:
    """libvirt does not know that the overlay is in use, or does not know that it no longer is."""
    if look.qemu in {Place.TOP, Place.BELOW}:
        if look.hidden_job is BlockJob.NONE:
            return Action.COMMIT_HIDDEN
        return Action.PIVOT_HIDDEN if look.hidden_job is BlockJob.READY else Action.WAIT
    if look.qemu is Place.LOOSE:
        return Action.LET_GO
    overlay = look.overlay
    if overlay is not None and overlay.open:
        return Action.BUSY
    if look.inactive is not Place.NONE:
        return Action.REWRITE
    if look.live is not Place.NONE:
        return Action.LINGER
    if overlay is None:
        return Action.DONE
    return Action.REMOVE if leaving or not overlay.written else Action.DIVERGED


def _of_stopped(look: DiskLook, *, leaving: bool) -> Action:
    overlay = look.overlay
    if overlay is not None and overlay.open:
        return Action.BUSY
    if look.inactive is Place.BELOW:
        return Action.COVERED
    # What was left for the disk's own file is older than that one, and must not be written back.
    if overlay is not None and overlay.written and (overlay.newest or not leaving):
        return Action.COMMIT_OFFLINE
    if look.inactive is Place.TOP:
        return Action.REWRITE
    return Action.DONE if overlay is None else Action.REMOVE
