"""The operating system's errors become ours, with a way out."""

import errno
import os

import pytest

from app.domain.errors import (
    CloneError,
    OperationFailed,
    PrimaryStorageFull,
    StorageUnavailable,
    VolumeIOError,
)
from workers.storage.faults import meaning


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, PrimaryStorageFull),
        (errno.EDQUOT, PrimaryStorageFull),
        (errno.EIO, VolumeIOError),
        (errno.ESTALE, StorageUnavailable),
        (errno.ENOTCONN, StorageUnavailable),
        (errno.EROFS, StorageUnavailable),
        (errno.ELOOP, OperationFailed),
        (errno.EACCES, OperationFailed),
    ],
)
def test_an_error_number_has_one_meaning(number: int, kind: type[CloneError]) -> None:
    original = OSError(number, os.strerror(number))
    with pytest.raises(kind) as raised, meaning("copying a.raw", "/srv/ps-1"):
        raise original
    assert raised.type is kind
    assert raised.value.__cause__ is original
    assert raised.value.details.startswith("copying a.raw on primary storage /srv/ps-1 failed: ")
    assert "; " in raised.value.details


def test_other_errors_pass_through() -> None:
    with pytest.raises(KeyError), meaning("copying", "/srv/ps-1"):
        raise KeyError
