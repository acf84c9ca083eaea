"""The files that running sources write to while they are copied. libvirt makes them and QEMU
writes them; here they are looked at, written back where no QEMU runs, and removed.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.domain.errors import SourceVolumeMissing
from app.domain.plan import BackingFile, SourceVolume, StorageRef, VolumeFormat
from app.domain.snapshots import FrozenDisk, Overlay
from workers.storage import qcow2, qemu_img, source
from workers.storage.base import CopyControl
from workers.storage.faults import meaning
from workers.storage.image_lock import is_open
from workers.storage.root import Root


def look(disk: FrozenDisk) -> Overlay | None:
    """None where it does not exist. Raises StorageUnavailable, and SourceVolumeMissing where the
    file below it is gone."""
    with _rooted(disk.storage, f"looking at {disk.overlay_path}") as opened:
        inside = opened.relative(disk.overlay_path)
        if not opened.exists(inside):
            return None
        with (
            opened.opened(inside, os.O_RDONLY) as descriptor,
            source.opened(disk.base.path) as below,
        ):
            return Overlay(
                open=is_open(descriptor),
                written=_is_written(descriptor, disk.overlay_path),
                newest=os.fstat(descriptor).st_mtime_ns > os.fstat(below).st_mtime_ns,
            )


def allocated(disk: FrozenDisk) -> int:
    """Bytes on disk; 0 where it does not exist."""
    with _rooted(disk.storage, f"looking at {disk.overlay_path}") as opened:
        found = opened.stat(opened.relative(disk.overlay_path))
    return 0 if found is None else found.st_blocks * 512


def names_below(path: str) -> str | None:
    """The backing file that a file's header names; None where it names none, or is no qcow2 file,
    or is not there."""
    with suppress(SourceVolumeMissing), source.opened(path) as descriptor:
        if os.pread(descriptor, len(qcow2.MAGIC), 0) == qcow2.MAGIC:
            name = qcow2.read_header(descriptor, path).backing_name
            return None if name is None else os.path.join(os.path.dirname(path), name)
    return None


def commit(disk: FrozenDisk, control: CopyControl) -> None:
    """Leave in the disk's own file what the overlay holds, and the overlay without content. Twice
    is once. Raises SourceVolumeBusy where any process has one of them open."""
    with _rooted(disk.storage, f"writing back {disk.overlay_path}") as opened:
        inside = opened.relative(disk.overlay_path)
        control.checkpoint()
        with opened.opened(inside, os.O_RDONLY) as descriptor:
            header = qcow2.read_header(descriptor, disk.overlay_path)
            size = os.fstat(descriptor).st_size
            qcow2.check_header(header, disk.overlay_path, size, disk.base)
            qemu_img.commit(_chain(disk), descriptor, header.virtual_size, control)


def remove(disk: FrozenDisk) -> None:
    """Absent counts as done."""
    with _rooted(disk.storage, f"removing {disk.overlay_path}") as opened:
        opened.remove(opened.relative(disk.overlay_path))


def _chain(disk: FrozenDisk) -> SourceVolume:
    overlay = BackingFile(disk.overlay_path, VolumeFormat.QCOW2)
    return SourceVolume(
        disk.volume_uuid, disk.storage, overlay.path, overlay.format, backing=disk.chain
    )


def _is_written(descriptor: int, path: str) -> bool:
    """Any part of it: QEMU makes a table of clusters for the first write below it."""
    if os.pread(descriptor, len(qcow2.MAGIC), 0) != qcow2.MAGIC:
        return False  # libvirt was about to have it formatted
    header = qcow2.read_header(descriptor, path)
    entries = os.pread(descriptor, header.l1_entries * 8, header.l1_offset)
    return any(entry for (entry,) in struct.iter_unpack(">Q", entries))


@contextmanager
def _rooted(storage: StorageRef, doing: str) -> Iterator[Root]:
    with meaning(doing, storage.url), Root(storage) as opened:
        yield opened
