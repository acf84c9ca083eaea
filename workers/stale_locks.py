"""Lock files that nobody holds and nobody will take again: of a process that was killed after its
item's last record and before it removed its lock."""

import fcntl
import os
from pathlib import Path

from app.store import audit
from app.store.session import Database
from workers.fence import HostLock, remove_process_files


def stale(database: Database, folder: Path) -> list[str]:
    """The uuids of those in `folder`, in order."""
    uuids = [file.stem for file in sorted(folder.glob("*.lock"))] if folder.is_dir() else []
    if not uuids:
        return []
    with database.single() as connection:
        needed = audit.open_locks(connection, uuids)
    return [u for u in uuids if u not in needed and not _is_held(folder / f"{u}.lock")]


def remove(folder: Path, uuids: list[str]) -> None:
    for uuid in uuids:
        lock = HostLock(folder, uuid)
        if lock.try_acquire():
            lock.release()  # which unlinks it
    remove_process_files(folder)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # released just now
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
