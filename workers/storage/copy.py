"""Copies of files: by reference where the file system can, else by data and holes, in chunks
that report bytes and notice that they must stop."""

import errno
import fcntl
import os
from collections.abc import Iterator

from workers.storage.base import CopyControl
from workers.storage.pace import Pace

FICLONE = 0x40049409  # Source: linux/fs.h, ioctl_ficlone(2)

_CANNOT_REFLINK = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}
)
_CANNOT_COPY_RANGE = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}
)


def reflink(source: int, target: int) -> bool:
    """Share all of the source's extents; False where this pair cannot."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT_REFLINK:
            return False
        raise
    return True


def copy_sparse(source: int, target: int, control: CopyControl) -> None:
    """Data as data, holes as holes. `target` is empty before and as long as the source after."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    pace = Pace(control)
    done = 0
    for start, end in data_ranges(source, size):
        while start < end:
            pace.wait(done)
            copied = _copy_range(source, target, start, min(pace.chunk, end - start))
            if copied == 0:
                raise OSError(errno.EIO, "the source became shorter while it was copied")
            start += copied
            done += copied
            control.progress(done)


def data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """[start, end) of what is not a hole, in order. Source: lseek(2)."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def _copy_range(source: int, target: int, offset: int, length: int) -> int:
    try:
        return os.copy_file_range(source, target, length, offset, offset)
    except OSError as error:
        if error.errno not in _CANNOT_COPY_RANGE:
            raise
    content = os.pread(source, length, offset)
    written = 0
    while written < len(content):
        written += os.pwrite(target, content[written:], offset + written)
    return written


def allocated(descriptor: int) -> int:
    """Bytes on disk."""
    return os.fstat(descriptor).st_blocks * 512
