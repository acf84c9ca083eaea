"""QEMU's image lock: does anybody have the image open for writing?

QEMU holds a shared byte-range lock on byte 100 + n for each permission n that it uses; writing is
permission 1 and resizing permission 3; reading, which a backing file is opened for, is 0.
Source: QEMU's block/file-posix.c.
"""

import fcntl
import os
import struct

_PERMISSION_BYTES = 100
_READ, _WRITE, _RESIZE = 0, 1, 3
F_OFD_GETLK = 36
_FLOCK = struct.Struct("hhqqi4x")


def is_open_for_writing(descriptor: int) -> bool:
    """Of the file that this descriptor has open; our own lock would not count."""
    return any(_locked(descriptor, _PERMISSION_BYTES + use) for use in (_WRITE, _RESIZE))


def is_open(descriptor: int) -> bool:
    """The same for any use, reading included."""
    return _locked(descriptor, _PERMISSION_BYTES + _READ) or is_open_for_writing(descriptor)


def _locked(descriptor: int, byte: int) -> bool:
    query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    answer = fcntl.fcntl(descriptor, F_OFD_GETLK, query)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
