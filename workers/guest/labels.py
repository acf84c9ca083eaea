"""The label of a file system that an image begins with, as a guest would find it.

A guest wrote the image, so nothing in it is believed: reads are few and bounded, and a content
that makes no sense has no label. Sources: ECMA-119, sections 8.4 and 8.5; Microsoft's FAT
specification; the kernel's fs/ext4/ext4.h.
"""

import os
import stat
import struct
from collections.abc import Callable, Iterator

from app.domain.errors import SourceVolumeInvalid
from app.domain.plan import VolumeFormat
from workers.storage.reader import open_image

Read = Callable[[int, int], bytes]  # offset, length -> as many bytes; fewer or zeroes past the end

# By these, in any case, guests find what configures them: NoCloud's and OpenStack's drives.
SEED_LABELS = frozenset({"cidata", "config-2"})

_SECTOR = 2048  # of an ISO 9660 image
_DESCRIPTORS = range(16, 48)
_MAX_ROOT_FOLDER = 64 << 10  # of a FAT file system, as much as is looked through
_ENTRY = 32
_VOLUME_LABEL, _LONG_NAME = 0x08, 0x0F  # attributes of an entry; those of a long name hold both
_EXT_MAGIC = 0xEF53


def is_seed(path: str, file_format: VolumeFormat = VolumeFormat.RAW) -> bool:
    """Whether guests would take the image for their configuration; False where it cannot be
    read, is no image file, or has another format."""
    try:
        label = label_at(path, file_format)
    except (OSError, SourceVolumeInvalid):
        return False
    return label is not None and label.lower() in SEED_LABELS


def label_at(path: str, file_format: VolumeFormat) -> str | None:
    """Raises OSError, and SourceVolumeInvalid for a qcow2 file that cannot be trusted."""
    # Opening some devices does something, and opening a FIFO waits.
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISBLK(kind):
        return None
    if file_format is VolumeFormat.QCOW2:
        with open_image(path, file_format) as image:
            return label_of(image.read)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return label_of(lambda offset, length: os.pread(descriptor, length, offset))
    finally:
        os.close(descriptor)


def label_of(read: Read) -> str | None:
    """None where there is no label, or no file system that could have one."""
    for label in (_iso_label(read), _fat_label(read), _ext_label(read)):
        if label:
            return label
    return None


def _iso_label(read: Read) -> str | None:
    """The primary volume's, else Joliet's."""
    joliet = None
    for number in _DESCRIPTORS:
        descriptor = read(number * _SECTOR, 128)
        if descriptor[1:6] != b"CD001" or descriptor[0] == 0xFF:
            break
        field = descriptor[40:72]
        if descriptor[0] == 1 and (label := _text(field)):
            return label
        if descriptor[0] == 2 and descriptor[88:90] == b"%/":
            joliet = field.decode("utf-16-be", "replace").rstrip("\0 ")
    return joliet or None


def _fat_label(read: Read) -> str | None:
    """The root folder's, which systems show, else the boot sector's, which cloud-init takes too.
    A FAT32 file system has a word where FAT12 and FAT16 have the size of a FAT."""
    boot = read(0, 512)
    if len(boot) < 512 or boot[510:] != b"\x55\xaa" or boot[0] not in (0xEB, 0xE9):
        return None
    wide = boot[22:24] == b"\0\0"
    start = 66 if wide else 38  # signature, serial number, label, type
    signed = boot[start] == 0x29 and boot[start + 16 : start + 19] == b"FAT"
    own = _text(boot[start + 5 : start + 16]) if signed else ""
    return next(_labels_in(_root_folder(read, boot, wide)), None) or own or None


def _root_folder(read: Read, boot: bytes, wide: bool) -> bytes:
    """Its beginning; empty where the geometry makes no sense."""
    sector, per_cluster, reserved, fats, entries = struct.unpack_from("<HBHBH", boot, 11)
    if sector not in (512, 1024, 2048, 4096) or not per_cluster or not fats:
        return b""
    if not wide:
        (fat,) = struct.unpack_from("<H", boot, 22)
        return read((reserved + fats * fat) * sector, min(entries * _ENTRY, _MAX_ROOT_FOLDER))
    (fat,) = struct.unpack_from("<I", boot, 36)
    (cluster,) = struct.unpack_from("<I", boot, 44)
    if cluster < 2:
        return b""
    start = reserved + fats * fat + (cluster - 2) * per_cluster
    return read(start * sector, min(per_cluster * sector, _MAX_ROOT_FOLDER))


def _labels_in(folder: bytes) -> Iterator[str]:
    for offset in range(0, len(folder) - _ENTRY + 1, _ENTRY):
        entry = folder[offset : offset + _ENTRY]
        if entry[0] == 0:  # the end
            return
        is_label = entry[11] & _VOLUME_LABEL and entry[11] != _LONG_NAME
        if entry[0] != 0xE5 and is_label and (label := _text(entry[:11])):
            yield label


def _ext_label(read: Read) -> str | None:
    superblock = read(1024, 136)
    if len(superblock) < 136 or struct.unpack_from("<H", superblock, 56)[0] != _EXT_MAGIC:
        return None
    return _text(superblock[120:136]) or None


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip(" ")
