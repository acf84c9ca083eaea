"""Holds storages, hypervisors and sums against the database, on a system that is at work.

The database is read first and last. What nobody knew at the first look and nobody knows at the
last belongs to nobody: a uuid is named in the database before anything of that name exists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.domain.errors import CloneError
from app.domain.paths import TraceKind
from app.domain.plan import HostRef, StorageRef
from app.settings import Settings
from app.store import audit
from app.store.audit import Known, KnownFile
from app.store.session import Database
from workers import stale_locks
from workers.hypervisors import open_hypervisor
from workers.hypervisors.base import Domain, Hypervisor
from workers.ops.doctor.findings import Finding, Kind
from workers.ops.doctor.repair import Repair
from workers.storage import open_storage
from workers.storage.base import Trace

REMOVE = "--repair removes it"
_FOLDERS = frozenset({TraceKind.VOLUME_FOLDER, TraceKind.ACCOUNT_FOLDER})


class OrphanAudit:
    def __init__(
        self, database: Database, settings: Settings, machine_id: str, *, repair: bool
    ) -> None:
        self._database = database
        self._settings = settings
        self._machine_id = machine_id
        self._repair = Repair(database, settings) if repair else None

    def run(self) -> list[Finding]:
        with self._database.single() as connection:
            served = audit.served(connection, self._machine_id)
            first = Known.load(connection)
        findings = [
            Finding(
                Kind.UNSEEN, "place", what, "another machine", "not served here", "run it there"
            )
            for what in served.elsewhere
        ]
        for storage in served.storages:
            findings += self._storage(storage, first)
        for host in served.hosts:
            findings += self._host(host, first)
        return [*findings, *self._locks(), *self._rows()]

    def _known_again(self) -> Known:
        with self._database.single() as connection:
            return Known.load(connection)

    def _storage(self, ref: StorageRef, first: Known) -> list[Finding]:
        driver = open_storage(ref, self._settings)
        where = f"{ref.type} {ref.url}"
        try:
            traces = driver.traces()
        except CloneError as error:
            return [Finding(Kind.UNSEEN, "storage", ref.uuid, where, error.details, "mount it")]
        again = self._known_again()
        found = []
        for trace in traces:
            finding = _judge_trace(trace, ref, first, again, where)
            # Gone meanwhile: whoever was at it has removed it.
            if finding is None or driver.look_again(trace) is None:
                continue
            if self._repair and finding.kind is Kind.ORPHAN:
                finding = self._repair.of(
                    finding,
                    str(trace.uuid),
                    lambda t=trace: driver.discard(t),  # type: ignore[misc]
                )
            found.append(finding)
        return found + list(_missing_files(traces, ref, first, again, where))

    def _host(self, host: HostRef, first: Known) -> list[Finding]:
        hypervisor = open_hypervisor(host, self._settings)
        where = f"host {host.name}"
        try:
            domains = {domain.vm_uuid: domain for domain in hypervisor.list_domains()}
            left = hypervisor.leftovers()
        except CloneError as error:
            return [Finding(Kind.UNSEEN, "host", host.uuid, where, error.details, "start it")]
        again = self._known_again()
        found = []
        for domain in domains.values():
            finding = _judge_domain(domain, first, again, where)
            if finding is None or hypervisor.is_running(domain.vm_uuid) is None:
                continue

            def remove(vm_uuid: str = domain.vm_uuid) -> None:
                hypervisor.destroy(vm_uuid)
                hypervisor.undefine(vm_uuid)

            if self._repair:
                finding = self._repair.of(finding, domain.vm_uuid, remove)
            found.append(finding)
        found += self._leftovers(hypervisor, self._nobodys(left, first, again), where)
        return found + list(_missing_domains(set(domains), host, first, again, where))

    def _nobodys(self, left: Sequence[str], first: Known, again: Known) -> list[str]:
        """Of VMs that were to be made here and are no more: what others left is theirs."""
        with self._database.single() as connection:
            minted = audit.minted(connection, left)
        return [uuid for uuid in left if uuid in minted and uuid not in first.vms | again.vms]

    def _leftovers(
        self, hypervisor: Hypervisor, uuids: Sequence[str], where: str
    ) -> Iterator[Finding]:
        still = set(hypervisor.leftovers()) if uuids else set()
        for uuid in uuids:
            if uuid not in still:
                continue
            finding = Finding(Kind.ORPHAN, "domain state", uuid, where, "its VM is gone", REMOVE)
            if self._repair:
                finding = self._repair.of(
                    finding,
                    uuid,
                    lambda uuid=uuid: hypervisor.undefine(uuid),  # type: ignore[misc]
                )
            yield finding

    def _locks(self) -> list[Finding]:
        folder = self._settings.lock_folder
        uuids = stale_locks.stale(self._database, folder)
        if self._repair:
            stale_locks.remove(folder, uuids)
        found = Finding(Kind.ORPHAN, "lock file", "", str(folder), "nobody holds it", REMOVE)
        return [replace(found, name=uuid, repaired=bool(self._repair)) for uuid in uuids]

    def _rows(self) -> Iterator[Finding]:
        with self._database.single() as connection:
            loose, sums = audit.loose_rows(connection), audit.wrong_sums(connection)
        for row in loose:
            finding = Finding(
                Kind.ORPHAN,
                row.what,
                row.uuid,
                row.where,
                "nobody holds it",
                "--repair gives it back",
                row.amount,
            )
            if self._repair:
                self._database.run(lambda c, row=row: audit.give_back(c, row))  # type: ignore[misc]
            yield replace(finding, repaired=bool(self._repair))
        for wrong in sums:
            repaired = bool(self._repair) and self._database.run(
                lambda c, wrong=wrong: audit.repair_sum(c, wrong)  # type: ignore[misc]
            )
            yield Finding(
                Kind.WRONG,
                wrong.what,
                wrong.uuid,
                "the database",
                f"{wrong.stored} is stored, the rows add up to {wrong.counted}",
                "report it, with the server's logs",
                repaired=repaired,
            )


def _judge_trace(
    trace: Trace, ref: StorageRef, first: Known, again: Known, where: str
) -> Finding | None:
    name = trace.path or str(trace.uuid)
    if trace.kind is TraceKind.OVERLAY:
        return _judge_overlay(trace, ref, first, again, where)
    if trace.kind is TraceKind.FOREIGN:
        return Finding(
            Kind.FOREIGN,
            "file",
            name,
            where,
            "vmclone gives no such name",
            "look at it and remove it yourself",
            trace.allocated,
        )
    if trace.kind is TraceKind.ACCOUNT_FOLDER or any(
        _knows(known, trace, ref) for known in (first, again)
    ):
        return None
    return Finding(Kind.ORPHAN, trace.kind, name, where, "nobody knows it", REMOVE, trace.allocated)


def _judge_overlay(
    trace: Trace, ref: StorageRef, first: Known, again: Known, where: str
) -> Finding | None:
    """Never removed here: it may hold what a guest wrote."""
    if ref.uuid in {known.overlays.get(str(trace.uuid)) for known in (first, again)}:
        return None
    return Finding(
        Kind.FOREIGN,
        trace.kind,
        str(trace.path),
        where,
        "no snapshot of a running source is owed that has it",
        "see that no domain's disk stands on it (virsh domblklist --details), then remove it",
        trace.allocated,
    )


def _knows(known: Known, trace: Trace, ref: StorageRef) -> bool:
    uuid = str(trace.uuid)
    if trace.kind is TraceKind.SEED:
        return uuid in known.vms
    files = [known.volumes.get(uuid)]
    if trace.kind in {TraceKind.BASE, TraceKind.PART}:
        files.append(known.bases.get(uuid))
    return any(
        file is not None
        and file.storage_uuid == ref.uuid
        # A base that is handed to a volume keeps its name until the rename.
        and (trace.kind is TraceKind.PART or trace.path in {None, file.path} or _is_folder(trace))
        for file in files
    )


def _is_folder(trace: Trace) -> bool:
    return trace.kind in _FOLDERS


def _missing_files(
    traces: list[Trace], ref: StorageRef, first: Known, again: Known, where: str
) -> Iterator[Finding]:
    kinds = (
        (TraceKind.VOLUME, first.volumes, again.volumes),
        (TraceKind.BASE, first.bases, again.bases),
    )
    for kind, before, after in kinds:
        there = {trace.uuid: trace for trace in traces if trace.kind is kind}
        for uuid, file in before.items():
            now = after.get(uuid)
            if file.storage_uuid != ref.uuid or not (file.settled and now and now.settled):
                continue
            yield from _judge_file(kind, file, there.get(uuid), where)


def _judge_file(
    kind: TraceKind, file: KnownFile, trace: Trace | None, where: str
) -> Iterator[Finding]:
    if trace is None:
        todo = "put it back from a backup" if kind is TraceKind.BASE else "expunge its VM"
        yield Finding(Kind.MISSING, kind, file.path, where, "its file is not there", todo)
    elif trace.virtual_size not in {None, file.size}:
        why = f"it is {trace.virtual_size} bytes large, the database says {file.size}"
        yield Finding(Kind.WRONG, kind, file.path, where, why, "find out who resized it")


def _judge_domain(domain: Domain, first: Known, again: Known, where: str) -> Finding | None:
    """A domain whose VM has no domain by the database is nobody's, too: of a destroyed VM."""
    for known in (first, again):
        vm = known.vms.get(domain.vm_uuid)
        if vm is not None and vm.has_domain is not False:
            return None
    return Finding(Kind.ORPHAN, "domain", domain.vm_uuid, where, "no VM has it", REMOVE)


def _missing_domains(
    there: set[str], host: HostRef, first: Known, again: Known, where: str
) -> Iterator[Finding]:
    for uuid, vm in first.vms.items():
        now = again.vms.get(uuid)
        if uuid in there or vm.host_uuid != host.uuid or not vm.has_domain:
            continue
        if now is not None and now.has_domain and now.host_uuid == host.uuid:
            yield Finding(
                Kind.MISSING, "domain", uuid, where, "the host does not know it", "destroy the VM"
            )
