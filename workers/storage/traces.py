"""What lies in vmclone's folders below a storage's root: found, looked at again, removed.

Everything is reached through the open root, so no link is followed and nothing outside is seen.
"""

import os
import stat
from collections.abc import Iterator

from app.domain.errors import CloneError, OperationFailed
from app.domain.paths import OWN_FOLDERS, TraceKind, named_by
from workers.storage import qcow2
from workers.storage.base import Trace
from workers.storage.image_lock import is_open
from workers.storage.root import Root

IMAGES = frozenset({TraceKind.VOLUME, TraceKind.BASE})
FOLDERS = frozenset({TraceKind.VOLUME_FOLDER, TraceKind.ACCOUNT_FOLDER})
# What only its owner can judge: of an overlay that is who puts the source back.
_NEVER = frozenset({TraceKind.FOREIGN, TraceKind.OVERLAY})
# An NFS client's name for a file that was removed while somebody has it open: it goes by itself.
_SILLY_RENAME = ".nfs"


def walk(opened: Root) -> Iterator[Trace]:
    """Every file, and every empty folder."""
    for folder in OWN_FOLDERS:
        yield from _below(opened, folder)


def _below(opened: Root, folder: str) -> Iterator[Trace]:
    for name in opened.names(folder):
        inside = f"{folder}/{name}"
        found = opened.stat(inside)
        if found is None or name.startswith(_SILLY_RENAME):
            continue
        if stat.S_ISDIR(found.st_mode) and opened.names(inside):
            yield from _below(opened, inside)
        else:
            yield _trace(opened, inside, found)


def look(opened: Root, inside: str) -> Trace | None:
    """What lies there; None where nothing does, and for a folder that is not empty."""
    found = opened.stat(inside)
    if found is None or (stat.S_ISDIR(found.st_mode) and opened.names(inside)):
        return None
    return _trace(opened, inside, found)


def discard(opened: Root, trace: Trace) -> None:
    """As `Storage.discard` says."""
    inside = opened.relative(str(trace.path))
    found = look(opened, inside)
    if found is None:
        return
    if found.kind in _NEVER or (found.kind, found.uuid) != (trace.kind, trace.uuid):
        raise OperationFailed(f"{trace.path} is nothing of vmclone's; look at it and remove it")
    if found.kind in FOLDERS:
        opened.remove_folder(inside)
        return
    if found.kind is not TraceKind.SEED:
        _check_closed(opened, inside)
    opened.remove(inside)
    if found.kind is TraceKind.VOLUME:
        opened.remove_folder(os.path.dirname(inside))


def _trace(opened: Root, inside: str, found: os.stat_result) -> Trace:
    folder = stat.S_ISDIR(found.st_mode)
    kind, uuid = named_by(inside, folder=folder)
    if not folder and not stat.S_ISREG(found.st_mode):
        kind, uuid = TraceKind.FOREIGN, None
    return Trace(
        kind,
        uuid,
        f"{opened.url}/{inside}",
        allocated=0 if folder else found.st_blocks * 512,
        virtual_size=_virtual_size(opened, inside, found.st_size) if kind in IMAGES else None,
        changed_at_s=found.st_ctime,
    )


def _virtual_size(opened: Root, inside: str, file_size: int) -> int | None:
    if inside.endswith(".raw"):
        return file_size
    try:
        with opened.opened(inside, os.O_RDONLY) as descriptor:
            return qcow2.read_header(descriptor, inside).virtual_size
    except (CloneError, OSError):
        return None


def _check_closed(opened: Root, inside: str) -> None:
    with opened.opened(inside, os.O_RDONLY) as descriptor:
        if is_open(descriptor):
            raise OperationFailed(
                f"{opened.url}/{inside} is open in a process, perhaps of a domain that nobody "
                "knows: end that one first"
            )
