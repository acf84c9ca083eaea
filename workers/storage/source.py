"""The source's own files: opened as they are declared, judged, and looked at before and after."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import SourceVolumeBusy, SourceVolumeInvalid, SourceVolumeMissing
from app.domain.plan import BackingFile, SourceVolume, VolumeFormat
from workers.storage import qcow2
from workers.storage.base import FileSignature
from workers.storage.image_lock import is_open_for_writing
from workers.storage.reader import open_image

SETTLED_NS = 2_000_000_000  # a file written more recently may be written again unseen


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Raises SourceVolumeMissing, SourceVolumeInvalid."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise SourceVolumeMissing(
            f"{path} does not exist on this host; put the file back, or correct its path in the "
            "inventory"
        ) from None
    except OSError as error:
        raise SourceVolumeInvalid(f"{path} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SourceVolumeInvalid(f"{path} is not a regular file; declare an image file")
        yield descriptor
    finally:
        os.close(descriptor)


def signature(source: SourceVolume, now_ns: int) -> tuple[FileSignature, ...]:
    """Of every file of the chain, top first, each checked against its declaration.

    Raises SourceVolumeMissing, SourceVolumeInvalid, SourceVolumeBusy.
    """
    files = [BackingFile(source.path, source.format), *source.backing]
    below = [*files[1:], None]
    by_ns = None if source.frozen else now_ns - SETTLED_NS
    return tuple(_looked_at(file, under, by_ns) for file, under in zip(files, below, strict=True))


def check_content(source: SourceVolume) -> int:
    """The chain's virtual size. Raises SourceVolumeInvalid for a disk without content and for a
    file that ends before its content does."""
    with open_image(source.path, source.format, source.backing) as image:
        if image.virtual_size == 0:
            raise SourceVolumeInvalid(f"{source.path} is empty: there is no disk in it")
        image.check_extent()
        return image.virtual_size


def is_plain(descriptor: int, source: SourceVolume) -> bool:
    """One file whose bytes may be copied as they are."""
    if source.backing:
        return False
    if source.format is VolumeFormat.RAW:
        return True
    header = qcow2.read_header(descriptor, source.path)
    return not header.snapshots and not header.has_bitmaps


def _looked_at(
    file: BackingFile, below: BackingFile | None, settled_by_ns: int | None
) -> FileSignature:
    with opened(file.path) as descriptor:
        # First of all: what somebody is writing now may look invalid and be whole in a moment.
        if is_open_for_writing(descriptor):
            raise SourceVolumeBusy(
                f"{file.path} is open for writing in another process; it is copied once that ended"
            )
        status = os.fstat(descriptor)
        # Every write moves the change time, and nobody can set it.
        if settled_by_ns is not None and status.st_ctime_ns > settled_by_ns:
            raise SourceVolumeBusy(f"{file.path} was written just now; it is copied once it rests")
        if file.format is VolumeFormat.QCOW2:
            header = qcow2.read_header(descriptor, file.path)
            qcow2.check_header(header, file.path, status.st_size, below)
        elif below is not None:
            raise SourceVolumeInvalid(f"{file.path} is raw, so it cannot stand on {below.path}")
    return FileSignature(
        path=file.path,
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        allocated=status.st_blocks * 512,
    )
