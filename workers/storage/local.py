"""LocalStorage and SharedMountPoint: volumes are files below one folder.

A file has its final name only when it is whole: it is made in work/ under a name derived from its
uuid, synced, and renamed without replacing anything. So a second run finds either nothing, a part
to throw away, or the finished file.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.domain.errors import (
    CloneError,
    OperationFailed,
    SourceVolumeBusy,
    StorageUnavailable,
)
from app.domain.plan import (
    BaseFile,
    CloneMethod,
    SourceVolume,
    StorageRef,
    VolumeFile,
    VolumeFormat,
    VolumePlan,
)
from workers.storage import qcow2, qemu_img, root, source, traces
from workers.storage.base import (
    BaseFacts,
    CopyControl,
    FileSignature,
    StorageFacts,
    Trace,
    VolumeFacts,
)
from workers.storage.copy import allocated, copy_sparse, reflink
from workers.storage.faults import meaning
from workers.storage.root import Root

BASE_MODE = 0o440
VOLUME_MODE = 0o600
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


class LocalStorage:
    def __init__(self, storage: StorageRef, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._storage = storage
        self._now_ns = now_ns
        self._reflink: bool | None = None

    def initialize(self) -> None:
        root.initialize(self._storage)

    def facts(self) -> StorageFacts:
        with self._opened("looking at the file system") as opened:
            numbers = os.fstatvfs(opened.descriptor)
            if self._reflink is None:
                self._reflink = _can_reflink(opened)
            return StorageFacts(
                total_bytes=numbers.f_blocks * numbers.f_frsize,
                free_bytes=numbers.f_bavail * numbers.f_frsize,
                file_system_id=str(os.fstat(opened.descriptor).st_dev),
                reflink=self._reflink,
            )

    def signature(self, volume: SourceVolume) -> tuple[FileSignature, ...]:
        return source.signature(volume, self._now_ns())

    def make_base(self, volume: SourceVolume, base: BaseFile, control: CopyControl) -> BaseFacts:
        before = self.signature(volume)
        size = source.check_content(volume)
        with self._opened(f"copying {volume.path}") as opened:
            final = opened.relative(base.path)
            control.checkpoint()
            # One left by an earlier try may be of an earlier moment, and nobody uses it yet.
            opened.remove(final)
            with _part(opened, base.uuid) as (part, target):
                _fill_base(volume, target, size, control)
                if self.signature(volume) != before:
                    raise SourceVolumeBusy(
                        f"{volume.path} changed while it was copied; it is tried again"
                    )
                os.fchmod(target, BASE_MODE)
                os.fdatasync(target)
                control.checkpoint()
                opened.publish(part, final)
                return BaseFacts(
                    format=base.format,
                    virtual_size=size,
                    actual_size=allocated(target),
                    signature=before,
                )

    def clone(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        with self._opened(f"making volume {volume.uuid}") as opened:
            final = opened.relative(volume.path)
            control.checkpoint()
            if opened.exists(final):
                opened.remove(_part_name(volume.uuid))
                opened.settle(final)
                with opened.opened(final, os.O_RDONLY) as found:
                    return VolumeFacts(_method_of(found, volume), volume.format, allocated(found))
            with _part(opened, volume.uuid) as (part, target):
                method = _fill_volume(volume, target, control)
                os.fdatasync(target)
                control.checkpoint()
                opened.publish(part, final)
                return VolumeFacts(method, volume.format, allocated(target))

    def hand_over(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        with self._opened(f"making volume {volume.uuid} of its base") as opened:
            assert volume.base is not None  # a new disk takes none
            final, base = opened.relative(volume.path), opened.relative(volume.base.path)
            control.checkpoint()
            # Of an earlier run that copied, while others still needed the base.
            opened.remove(_part_name(volume.uuid))
            if opened.exists(final):
                opened.settle(final)
            else:
                with opened.opened(base, os.O_RDONLY) as taken:
                    os.fchmod(taken, VOLUME_MODE)
                opened.publish(base, final)
            with opened.opened(final, os.O_RDONLY) as made:
                return VolumeFacts(CloneMethod.FULL, volume.format, allocated(made))

    def delete_volume(self, volume: VolumePlan | VolumeFile) -> None:
        with self._opened(f"deleting volume {volume.uuid}") as opened:
            final = opened.relative(volume.path)
            opened.remove(_part_name(volume.uuid))
            opened.remove(final)
            opened.remove_folder(os.path.dirname(final))

    def put(self, path: str, content: bytes, *, part_of: str) -> None:
        with self._opened(f"writing {path}") as opened:
            final = opened.relative(path)
            if opened.exists(final):
                opened.settle(final)
                return
            with _part(opened, part_of) as (part, target):
                os.pwrite(target, content, 0)
                os.fdatasync(target)
                opened.publish(part, final)

    def drop(self, path: str) -> None:
        with self._opened(f"removing {path}") as opened:
            opened.remove(opened.relative(path))

    def delete_base(self, base: BaseFile) -> None:
        with self._opened(f"deleting base {base.uuid}") as opened:
            opened.remove(_part_name(base.uuid))
            opened.remove(opened.relative(base.path))

    def traces(self) -> list[Trace]:
        with self._opened("looking for what lies there") as opened:
            return list(traces.walk(opened))

    def look_again(self, trace: Trace) -> Trace | None:
        with self._opened(f"looking at {trace.path}") as opened:
            return traces.look(opened, opened.relative(str(trace.path)))

    def discard(self, trace: Trace) -> None:
        with self._opened(f"removing {trace.path}") as opened:
            traces.discard(opened, trace)

    @contextmanager
    def _opened(self, doing: str) -> Iterator[Root]:
        with meaning(doing, self._storage.url), Root(self._storage) as opened:
            yield opened


def _part_name(uuid: str) -> str:
    """Found again by a later run, whoever left it."""
    return f"work/{uuid}.part"


@contextmanager
def _part(opened: Root, uuid: str) -> Iterator[tuple[str, int]]:
    """A fresh part file's name and descriptor. It goes with an error of ours; whoever lost the
    lease, or is being stopped, leaves it to the next one, who may be at it already."""
    part = _part_name(uuid)
    opened.remove(part)
    try:
        with opened.opened(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, VOLUME_MODE) as target:
            yield part, target
    except (CloneError, OSError):
        opened.remove(part)
        raise


def _fill_base(volume: SourceVolume, target: int, size: int, control: CopyControl) -> None:
    with source.opened(volume.path) as descriptor:
        if not source.is_plain(descriptor, volume):
            qemu_img.flatten(volume, target, size, control)
        elif not reflink(descriptor, target):
            copy_sparse(descriptor, target, control)


def _fill_volume(volume: VolumePlan, target: int, control: CopyControl) -> CloneMethod:
    """Make the empty file the volume; how it was made."""
    base = volume.base
    if base is None:
        qcow2.write_empty(target, volume.size)
        return CloneMethod.FULL
    with _opened_base(base) as descriptor:
        if volume.method is CloneMethod.REFLINK:
            if reflink(descriptor, target):
                _grow(volume, base, target, control)
                return CloneMethod.REFLINK
            if not volume.fallback:
                raise OperationFailed(
                    f"volume {volume.uuid} cannot be a reflink of {base.path}: the file "
                    "system cannot share these two; choose cloneMode::linked or cloneMode::full"
                )
        if volume.method is not CloneMethod.FULL and volume.format is VolumeFormat.QCOW2:
            qcow2.write_overlay(target, volume.size, base.path, base.format)
            return CloneMethod.LINKED
        copy_sparse(descriptor, target, control)
        _grow(volume, base, target, control)
        return CloneMethod.FULL


@contextmanager
def _opened_base(base: BaseFile) -> Iterator[int]:
    with Root(base.storage) as opened:
        inside = opened.relative(base.path)
        if not opened.exists(inside):
            # On NFS a file that another host made just now may not show yet.
            raise StorageUnavailable(
                f"base {base.path} is not to be seen on this host; if it stays away, clone again "
                "to have a new one made"
            )
        with opened.opened(inside, os.O_RDONLY) as descriptor:
            yield descriptor


def _grow(volume: VolumePlan, base: BaseFile, target: int, control: CopyControl) -> None:
    """A copy has its base's size; the volume may be planned larger."""
    if volume.size <= base.virtual_size:
        return
    if volume.format is VolumeFormat.RAW:
        os.ftruncate(target, volume.size)
    else:
        qemu_img.grow(target, volume.size, control)


def _method_of(descriptor: int, volume: VolumePlan) -> CloneMethod:
    """How a volume that an earlier run left was made, as far as the file can tell."""
    if volume.format is VolumeFormat.RAW:
        return volume.method
    header = qcow2.read_header(descriptor, volume.path)
    return volume.method if header.backing_name is None else CloneMethod.LINKED


def _can_reflink(opened: Root) -> bool:
    """Tried on two real files: nothing else tells."""
    with _nameless(opened, "source") as first, _nameless(opened, "target") as second:
        os.pwrite(first, b"\1" * 4096, 0)
        return reflink(first, second)


@contextmanager
def _nameless(opened: Root, probe: str) -> Iterator[int]:
    """A file in work/ that nobody has to remove: it has no name, and where the file system (NFS)
    makes no such files a name of its own that the next probe takes again."""
    try:
        with opened.opened("work", os.O_RDWR | os.O_TMPFILE, VOLUME_MODE) as descriptor:
            yield descriptor
            return
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
    name = f"work/reflink-probe-{probe}"
    with opened.opened(name, os.O_RDWR | os.O_CREAT, VOLUME_MODE) as descriptor:
        opened.remove(name)
        yield descriptor
