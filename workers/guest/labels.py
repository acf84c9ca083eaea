"""Whether a drive's image configures guests, told by its label."""

import os

from workers.guest.seed import SEED_LABELS

_ISO_LABEL = (32768 + 40, 32)  # source: ECMA-119, 8.4.7
_FAT_LABELS = ((43, 11), (71, 11))  # FAT12 and 16, FAT32; source: Microsoft's FAT specification


def is_seed(path: str) -> bool:
    """Of a raw image; False for one that cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return any(
            os.pread(descriptor, length, offset).decode("ascii", "replace").strip() in SEED_LABELS
            for offset, length in (_ISO_LABEL, *_FAT_LABELS)
        )
    except OSError:
        return False
    finally:
        os.close(descriptor)
