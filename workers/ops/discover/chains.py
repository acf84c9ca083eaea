"""The files that a disk stands on, as libvirt declares them."""

import os
from collections.abc import Iterator

from app.domain.errors import CloneError
from app.domain.plan import BackingFile, VolumeFormat
from workers.hypervisors.kvm.source_domain import SourceDisk
from workers.storage.qcow2 import read_header

_FORMATS = frozenset(VolumeFormat)
_MAX_LAYERS = 200  # as many as libvirt follows; source: its docs/kbase, "Disk image chains"


def chain_of(disk: SourceDisk, path: str) -> tuple[BackingFile, ...]:
    """Nearest first. Raises ValueError where it is not known or cannot be read by vmclone.

    Where the domain's XML has none, libvirt follows the headers from the declared format on when
    the domain starts, and takes no format that a header does not record; so does this.
    """
    if disk.backing is not None:
        return tuple(_layer(layer.path, layer.format) for layer in disk.backing)
    return tuple(_recorded(path)) if disk.format == VolumeFormat.QCOW2 else ()


def _recorded(top: str) -> Iterator[BackingFile]:
    path, seen = top, {top}
    while (below := _below(path)) is not None:
        yield below
        if below.format is VolumeFormat.RAW:
            return
        path = below.path
        if path in seen or len(seen) > _MAX_LAYERS:
            raise ValueError(f"the files that {top} stands on have no end")
        seen.add(path)


def _below(path: str) -> BackingFile | None:
    try:
        with open(path, "rb") as image:
            header = read_header(image.fileno(), path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except CloneError as error:
        raise ValueError(error.details) from error
    name = header.backing_name
    if name is None:
        return None
    if ":" in name.split("/", 1)[0]:
        raise ValueError(f"{path} stands on {name[:100]!r}, which is no file")
    found = os.path.normpath(os.path.join(os.path.dirname(path), name))
    return _layer(found, header.backing_format)


def _layer(path: str | None, image_format: str | None) -> BackingFile:
    if path is None or image_format not in _FORMATS:
        raise ValueError(
            f"below it lies {path or 'what is no file'} of format {image_format or 'unknown'}, and "
            f"vmclone reads files of formats {', '.join(sorted(_FORMATS))}"
        )
    return BackingFile(path, VolumeFormat(image_format))
