"""What an agent looks at besides its children: the storages and hypervisors of its hosts. Each look
is in a thread of its own, for what hangs must not silence the hosts."""

import logging
import threading
import time
from collections.abc import Sequence

from app.domain.errors import CloneError
from app.domain.plan import HostRef, HypervisorType
from app.settings import Settings
from app.store import hosts
from app.store.hosts import SeenStorage, StorageReport
from app.store.session import Database
from workers.hypervisors import open_hypervisor
from workers.hypervisors.base import Hypervisor
from workers.storage import open_storage

log = logging.getLogger(__name__)

INTERVAL_S = 3.0
HYPERVISOR_LIMIT_S = 15.0  # for a look at all of them


class StorageWatch:
    """Looks at the storages of the served hosts; a dead NFS mount hangs whoever looks at it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._thread: threading.Thread | None = None
        self._looked_at_s = 0.0
        self._known: frozenset[str] = frozenset()

    def look(self, host_uuids: Sequence[str]) -> None:
        """Start a look, if none is under way and one is due: at once when the hosts changed."""
        known, now_s = frozenset(host_uuids), time.monotonic()
        if self._thread is not None and self._thread.is_alive():
            return
        with self._database.single() as connection:
            seen = hosts.storages_of(connection, list(host_uuids))
        new = {s.ref.uuid for s in seen if not s.initialized}
        if not new and known == self._known and now_s - self._looked_at_s < INTERVAL_S:
            return
        self._known, self._looked_at_s = known, now_s
        self._thread = threading.Thread(
            target=self._look_at, args=(seen,), name="storages", daemon=True
        )
        self._thread.start()

    def _look_at(self, seen: Sequence[SeenStorage]) -> None:
        for storage in seen:
            try:
                self._report(storage)
            except Exception:
                log.exception("storage report failed", extra={"storage": storage.ref.uuid})

    def _report(self, storage: SeenStorage) -> None:
        driver = open_storage(storage.ref, self._settings)
        try:
            if not storage.initialized:
                driver.initialize()
            facts = driver.facts()
        except CloneError as error:
            with self._database.single() as connection:
                hosts.report_fault(connection, storage.ref.uuid, error.details)
            return
        report = StorageReport(
            storage.ref.uuid,
            facts.total_bytes,
            facts.free_bytes,
            facts.file_system_id,
            facts.reflink,
        )
        self._database.run(lambda connection: hosts.report_storage(connection, report))


class HypervisorWatch:
    """Asks the KVM hosts' hypervisors what they run. A host whose hypervisor does not answer is
    `away`, and gets no grants."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._thread: threading.Thread | None = None
        self._looked_at_s = 0.0
        self._known: dict[str, Hypervisor] = {}
        self.away: frozenset[str] = frozenset()

    def look(self, mine: Sequence[HostRef]) -> None:
        """Start a look, if none is under way and one is due."""
        kvm = [host for host in mine if host.hypervisor_type is HypervisorType.KVM]
        now_s = time.monotonic()
        if self._thread is not None and self._thread.is_alive():
            if now_s - self._looked_at_s > HYPERVISOR_LIMIT_S:
                self.away = frozenset(host.uuid for host in kvm)
            return
        if not kvm or now_s - self._looked_at_s < INTERVAL_S:
            return
        self._looked_at_s = now_s
        self._thread = threading.Thread(
            target=self._look_at, args=(kvm,), name="hypervisors", daemon=True
        )
        self._thread.start()

    def _look_at(self, kvm: Sequence[HostRef]) -> None:
        away = set()
        for host in kvm:
            try:
                self._report(host)
            except CloneError as error:
                if host.uuid not in self.away:
                    log.warning("hypervisor is away: %s", error.details, extra={"host": host.name})
                away.add(host.uuid)
            except Exception:
                log.exception("hypervisor report failed", extra={"host": host.name})
        self.away = frozenset(away)

    def _report(self, host: HostRef) -> None:
        if host.uuid not in self._known:
            self._known[host.uuid] = open_hypervisor(host, self._settings)
        facts = self._known[host.uuid].facts()
        if facts is not None:
            with self._database.single() as connection:
                hosts.report_foreign(connection, host.uuid, facts.foreign)
                hosts.report_runs(connection, host.uuid, facts.runs)
