"""Removes what belongs to nobody, under the lock of whoever made it.

A frozen process may still hold that lock, and would go on writing where nothing is any more.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from app.domain.errors import CloneError
from app.settings import Settings
from app.store import audit
from app.store.session import Database
from workers.fence import HostLock
from workers.ops.doctor.findings import Finding

HELD = "a process holds its lock: run this again when it has ended"


class Repair:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def of(self, finding: Finding, uuid: str, remove: Callable[[], None]) -> Finding:
        """The finding, repaired, or with the reason why not. `uuid` is the VM's, volume's or
        base's that it is a trace of."""
        try:
            with ExitStack() as held:
                for lock in self._locks(uuid):
                    if not lock.try_acquire():
                        return _left(finding, HELD)
                    held.callback(lock.release)
                remove()
        except CloneError as error:
            return _left(finding, error.details)
        except OSError as error:
            return _left(finding, f"{error.filename or 'its lock'}: {error.strerror}")
        return replace(finding, repaired=True)

    def _locks(self, uuid: str) -> Iterator[HostLock]:
        with self._database.single() as connection:
            guards = audit.guards_of(connection, uuid)
        for guard in guards:
            folder = Path(guard.folder) if guard.folder else self._settings.lock_folder
            folder.mkdir(parents=True, exist_ok=True)
            yield HostLock(folder, guard.name)


def _left(finding: Finding, why: str) -> Finding:
    return replace(finding, why=f"{finding.why}; not removed: {why}")
