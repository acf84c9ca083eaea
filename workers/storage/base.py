"""What the engine asks of a primary storage. A driver is one file that fulfils `Storage`.

Drivers raise `app.domain.errors` only: PrimaryStorageFull, StorageUnavailable, VolumeIOError and
the SourceVolume* family. Each call may be repeated after a crash at any point and leads to the
same files; no call leaves a file under a final name before it is whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.paths import TraceKind
from app.domain.plan import (
    BaseFile,
    CloneMethod,
    SourceVolume,
    VolumeFile,
    VolumeFormat,
    VolumePlan,
)


class CopyControl(Protocol):
    """The runner's side of a long copy."""

    @property
    def inherited_descriptors(self) -> Sequence[int]:
        """For children that write: they hold the host's lock for as long as they live."""

    @property
    def rate_bytes_s(self) -> int | None:
        """What the copy may move a second now; None: no limit. It may change at any time."""

    def progress(self, bytes_done: int) -> None:
        """Bytes of this volume that are done so far; never goes back."""

    def checkpoint(self) -> None:
        """Raise if the work must stop: cancelled, past its deadline, or its lease is lost.

        Called at least once per chunk and before each side effect. After LeaseLost nothing more
        may be touched, the part file included.
        """


@dataclass(frozen=True, slots=True)
class FileSignature:
    """What tells whether a file was written between two looks. Times are ns since the epoch."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    allocated: int  # bytes on disk


@dataclass(frozen=True, slots=True)
class StorageFacts:
    total_bytes: int
    free_bytes: int
    file_system_id: str  # equal for storages that share one physical capacity
    reflink: bool


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """A base as it was made: what must be known to clone from it and to reuse it."""

    format: VolumeFormat
    virtual_size: int
    actual_size: int  # allocated bytes
    signature: tuple[FileSignature, ...]  # of every file of the source's chain, top first


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    method: CloneMethod  # how it was really made; never AUTO
    format: VolumeFormat
    actual_size: int  # allocated bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """A file or an empty folder that lies in one of vmclone's folders on a storage."""

    kind: TraceKind
    uuid: str | None  # None for what is foreign
    path: str | None  # absolute; None on a storage where the uuid alone names it
    allocated: int = 0  # bytes on disk
    virtual_size: int | None = None  # of volumes and bases; None where it cannot be read
    changed_at_s: float | None = None  # since the epoch, by the file system's clock


class Storage(Protocol):
    def initialize(self) -> None:
        """Make the root folder and its marker. Only for a storage that never had one."""

    def facts(self) -> StorageFacts:
        """Raises StorageUnavailable if the marker is missing or names another storage."""

    def signature(self, source: SourceVolume) -> tuple[FileSignature, ...]:
        """The source's chain as it lies there now, top first, after checking every header
        against the declaration.

        Raises SourceVolumeMissing, SourceVolumeInvalid; SourceVolumeBusy if any file is open
        for writing (QEMU's image lock) or was written less than two seconds ago.
        """

    def make_base(self, source: SourceVolume, base: BaseFile, control: CopyControl) -> BaseFacts:
        """Leave `base.path` an immutable copy of the source as it is now.

        A file found there is of an earlier try, when the source may have been another: it is made
        anew. The signature is read before and after; a difference is SourceVolumeBusy.
        """

    def clone(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        """Leave `volume.path` a whole volume with the base's content and `volume.size`."""

    def hand_over(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        """Leave the base's own file as `volume.path`, by rename: for the last full copy of a base
        on the same storage."""

    def delete_volume(self, volume: VolumePlan | VolumeFile) -> None:
        """Remove the volume's file, its part files and its folder; absent counts as done.

        A missing marker is StorageUnavailable, never "absent".
        """

    def put(self, path: str, content: bytes, *, part_of: str) -> None:
        """Leave the small file `path` with `content`; `part_of` is the uuid that names its part
        file meanwhile."""

    def drop(self, path: str) -> None:
        """Remove what `put` left; absent counts as done."""

    def delete_base(self, base: BaseFile) -> None:
        """Remove the base's file and part files; absent counts as done."""

    def traces(self) -> list[Trace]:
        """All that lies in vmclone's folders. Raises StorageUnavailable without the marker."""

    def look_again(self, trace: Trace) -> Trace | None:
        """What lies there now under the same name; None if nothing does."""

    def discard(self, trace: Trace) -> None:
        """Remove what `traces` found, and the folder that it leaves empty; absent counts as done.

        Raises OperationFailed, and removes nothing, where it is foreign, where something else has
        the name by now, and where a process has the image open.
        """
