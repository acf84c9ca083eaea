"""Lock files on this host's disk that nobody holds and nobody needs."""

import fcntl
import os
from pathlib import Path

from app.settings import Settings
from app.store import audit
from app.store.session import Database
from workers.fence import HostLock
from workers.ops.doctor.findings import Finding, Kind


def stale_locks(database: Database, settings: Settings, *, repair: bool) -> list[Finding]:
    folder = settings.home / "locks"
    uuids = [file.stem for file in sorted(folder.glob("*.lock"))] if folder.is_dir() else []
    with database.single() as connection:
        needed = audit.open_locks(connection, uuids)
    found = []
    for uuid in uuids:
        if uuid in needed or _is_held(folder / f"{uuid}.lock"):
            continue
        if repair:
            lock = HostLock(folder, uuid)
            if lock.try_acquire():
                lock.release()  # which unlinks it
        found.append(
            Finding(
                Kind.ORPHAN,
                "lock file",
                uuid,
                str(folder),
                "nobody holds it",
                "--repair removes it",
                repaired=repair,
            )
        )
    return found


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
