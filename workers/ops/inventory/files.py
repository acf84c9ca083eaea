"""What this machine can see of the image files that an inventory declares."""

import os
import stat
from pathlib import Path

from app.domain.errors import CloneError
from app.domain.plan import BackingFile, VolumeFormat
from workers.storage.qcow2 import check_header, read_header


def size_of(path: str, image_format: VolumeFormat, backing: BackingFile | None) -> int | None:
    """Virtual bytes; None where the file is not on this machine or may not be read here.

    Raises ValueError for what is no image of that format on that backing file, or a symbolic
    link: what it points to could change under the declaration.
    """
    file = Path(path)
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise ValueError(f"{path} is a symbolic link; declare {file.readlink()} itself")
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path} is not a regular file")
        with file.open("rb") as image:
            size = os.fstat(image.fileno()).st_size
            if image_format is VolumeFormat.RAW:
                return size
            header = read_header(image.fileno(), path)
            check_header(header, path, size, backing)
            return header.virtual_size
    except OSError:
        return None
    except CloneError as exc:
        raise ValueError(exc.details) from exc
