"""What an operating system's error on a storage means to us: one table."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import (
    CloneError,
    OperationFailed,
    PrimaryStorageFull,
    StorageUnavailable,
    VolumeIOError,
)

_FULL = (PrimaryStorageFull, "free some space on it or clone to another storage")
_BROKEN = (VolumeIOError, "look at the disk's health")
_AWAY = (StorageUnavailable, "look at its mount on the host")
# openat2(2) answers so where a path would follow a link or leave the storage's root.
_LINK = (OperationFailed, "a link is in the way below the root: replace it by what it points to")
_OTHER = (OperationFailed, "see the worker's log")

_MEANING: dict[int, tuple[type[CloneError], str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: _BROKEN,
    errno.EROFS: _AWAY,
    errno.ESTALE: _AWAY,
    errno.ENOTCONN: _AWAY,
    errno.ENODEV: _AWAY,
    errno.ESHUTDOWN: _AWAY,
    errno.ETIMEDOUT: _AWAY,
    errno.ELOOP: _LINK,
    errno.EXDEV: _LINK,
    errno.ENOTDIR: _LINK,
}


@contextmanager
def meaning(doing: str, storage_url: str) -> Iterator[None]:
    """Raises our error for an OSError within; anything else passes through."""
    try:
        yield
    except OSError as error:
        kind, way_out = _MEANING.get(error.errno or 0, _OTHER)
        raise kind(
            f"{doing} on primary storage {storage_url} failed: {error.strerror or error}; {way_out}"
        ) from error
