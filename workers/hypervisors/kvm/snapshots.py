"""Snapshots of running domains, and how their disks are put back: libvirt's own calls, and
QEMU's where libvirt has none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import libvirt
from lxml import etree
from lxml.etree import _Element

from app.domain.errors import DomainBusy, SourceVolumeBusy
from app.domain.plan import HostRef, SourceRef, SourceVolume, StorageType
from app.domain.snapshots import BlockJob, Consistency, DiskLook, FrozenDisk, Overlay, Place
from workers.hypervisors.kvm import qemu_nodes, quiesce
from workers.hypervisors.kvm.chains import (
    disk_of,
    file_of,
    inactive_place,
    live_place,
    point_back,
)
from workers.hypervisors.kvm.connection import Connection
from workers.hypervisors.kvm.faults import is_invalid_now
from workers.hypervisors.kvm.lookup import by_uuid, source_domain
from workers.hypervisors.kvm.occupied import occupation
from workers.hypervisors.kvm.running_disks import running_disk, snapshot_xml
from workers.hypervisors.snapshots import RunningDisk

_SNAPSHOT = (
    libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
)
_QUIESCE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE
_ACTIVE_COMMIT = libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT
_COMMIT = libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT


class KvmSnapshots:
    def __init__(self, host: HostRef, connection: Connection) -> None:
        self._host = host
        self._connection = connection

    def disks(
        self, source: SourceRef, volumes: Sequence[SourceVolume]
    ) -> tuple[str, list[RunningDisk]]:
        with self._connection.opened(self._doing(f"looking at {source.name}")) as libvirtd:
            domain = _source(libvirtd, source)
            live = _xml(domain)
            found = [running_disk(domain, live, volume) for volume in volumes]
            _check_free(domain, source.name, [disk.target for disk in found])
            return domain.UUIDString(), found

    def freeze(self, domain_uuid: str, disks: Sequence[FrozenDisk]) -> Consistency:
        with self._domain(domain_uuid, "taking a snapshot") as domain:
            live = _xml(domain)
            _check_free(domain, domain.name(), [disk.target for disk in disks])
            snapshot = snapshot_xml(live, disks)
            if quiesce.is_connected(live):
                reached = _quiesced(domain, snapshot, disks)
                if reached is not None:
                    return reached
            domain.snapshotCreateXML(snapshot, _SNAPSHOT)
            return Consistency.CRASH

    def look(
        self, domain_uuid: str, disk: FrozenDisk, overlay: Overlay | None, *, confirmed: bool
    ) -> DiskLook:
        with self._connection.opened(self._doing("looking at a source")) as libvirtd:
            domain = by_uuid(libvirtd, domain_uuid)
            if domain is None:
                self._check_local(domain_uuid, disk)
                return DiskLook(running=False, overlay=overlay)
            inactive = _inactive_place(domain, disk)
            if not domain.isActive():
                return DiskLook(running=False, inactive=inactive, overlay=overlay)
            now = disk_of(_xml(domain), disk.target)
            live = live_place(now, disk.overlay_path)
            job = _job(domain, disk, now, live)
            # A file that QEMU has open for nothing yet has no lock that would show it.
            doubtful = not confirmed or (overlay is not None and overlay.open)
            hidden = job is BlockJob.LOST or (live is Place.NONE and doubtful)
            return DiskLook(
                running=True,
                live=live,
                inactive=inactive,
                job=job,
                qemu=qemu_nodes.place_of(domain, disk) if hidden else Place.NONE,
                hidden_job=qemu_nodes.job_of(domain, disk) if hidden else BlockJob.NONE,
                overlay=overlay,
            )

    def commit(self, domain_uuid: str, disk: FrozenDisk, *, below: bool) -> None:
        flags = 0 if below else libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE
        with self._domain(domain_uuid, f"writing back disk {disk.target}") as domain:
            domain.blockCommit(disk.target, disk.base.path, disk.overlay_path, 0, flags)

    def pivot(self, domain_uuid: str, disk: FrozenDisk) -> bool:
        with suppress(DomainBusy), self._domain(domain_uuid, "ending its snapshot") as domain:
            domain.blockJobAbort(disk.target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
            return True
        return False  # it had more to write back after all

    def commit_hidden(self, domain_uuid: str, disk: FrozenDisk) -> None:
        with self._domain(domain_uuid, f"writing back disk {disk.target}") as domain:
            qemu_nodes.commit(domain, disk)

    def pivot_hidden(self, domain_uuid: str, disk: FrozenDisk) -> None:
        with self._domain(domain_uuid, "ending its snapshot") as domain:
            qemu_nodes.pivot(domain, disk)

    def let_go(self, domain_uuid: str, disk: FrozenDisk) -> None:
        with self._domain(domain_uuid, f"closing {disk.overlay_path}") as domain:
            qemu_nodes.close(domain, disk)

    def rewrite(self, domain_uuid: str, disk: FrozenDisk) -> None:
        doing = self._doing(f"putting back disk {disk.target} of domain {domain_uuid}")
        with self._connection.opened(doing) as libvirtd:
            domain = by_uuid(libvirtd, domain_uuid)
            if domain is None or not domain.isPersistent():
                return
            # With passwords, or they would be gone.
            secure = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
            starts_with = _xml(domain, secure)
            found = disk_of(starts_with, disk.target)
            if found is not None and file_of(found) == disk.overlay_path:
                point_back(found, disk)
                libvirtd.defineXMLFlags(etree.tostring(starts_with, encoding="unicode"), 0)

    def moved(self, domain_uuid: str, disk: FrozenDisk) -> int:
        with self._domain(domain_uuid, "looking at its block jobs") as domain:
            job = domain.blockJobInfo(disk.target, 0) if domain.isActive() else None
            return int(job["cur"]) if job else 0

    def describe(self, domain_uuid: str, disk: FrozenDisk) -> str:
        with self._connection.opened(self._doing("looking at a source")) as libvirtd:
            domain = by_uuid(libvirtd, domain_uuid)
            if domain is None or not domain.isActive():
                return (
                    f"libvirt says that its domain is shut off, but a process has "
                    f"{disk.overlay_path} open. If the guest runs all the same, libvirtd lost "
                    "sight of it when it was killed (its log says why): shut the guest down from "
                    "within"
                )
            busy = occupation(domain, [disk.target])
            return busy or f"another process has {disk.overlay_path} open"

    def thaw(self, domain_uuid: str) -> None:
        with self._connection.opened(self._doing("thawing a source")) as libvirtd:
            domain = by_uuid(libvirtd, domain_uuid)
            if domain is None or not domain.isActive() or not quiesce.is_connected(_xml(domain)):
                return
            # One that does not answer now has nothing frozen that anybody here could thaw.
            with quiesce.limited(domain), suppress(libvirt.libvirtError):
                domain.fsThaw()

    def runs(self, domain_uuid: str) -> bool:
        with self._connection.opened(self._doing("looking at a source")) as libvirtd:
            domain = by_uuid(libvirtd, domain_uuid)
            return domain is not None and domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING

    def suspend(self, domain_uuid: str) -> None:
        with self._domain(domain_uuid, "suspending it for a moment") as domain:
            domain.suspend()

    def resume(self, domain_uuid: str) -> None:
        with self._connection.opened(self._doing("resuming a source")) as libvirtd:
            domain = by_uuid(libvirtd, domain_uuid)
            if domain is None or domain.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
                return
            try:
                domain.resume()
            except libvirt.libvirtError as error:
                if not is_invalid_now(error):
                    raise

    def _check_local(self, domain_uuid: str, disk: FrozenDisk) -> None:
        if disk.storage.type is StorageType.SHARED_MOUNT_POINT:
            raise SourceVolumeBusy(
                f"host {self._host.name} does not know domain {domain_uuid} any more, whose disk "
                f"{disk.target} stands on {disk.overlay_path}: if it was migrated, bring it back, "
                f"or end its snapshot there (virsh blockcommit --active --pivot {disk.target})"
            )

    @contextmanager
    def _domain(self, domain_uuid: str, doing: str) -> Iterator[libvirt.virDomain]:
        named = self._doing(f"{doing} (domain {domain_uuid})")
        with self._connection.opened(named) as libvirtd:
            yield libvirtd.lookupByUUIDString(domain_uuid)

    def _doing(self, what: str) -> str:
        return f"{what} on host {self._host.name}"


def _source(libvirtd: libvirt.virConnect, source: SourceRef) -> libvirt.virDomain:
    """Raises SourceVolumeBusy where it is gone since it was seen to run."""
    domain = source_domain(libvirtd, source)
    if domain is None:
        raise SourceVolumeBusy(f"the domain of {source.name} is gone; it is looked for again")
    return domain


def _xml(domain: libvirt.virDomain, flags: int = 0) -> _Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    return etree.fromstring(domain.XMLDesc(flags).encode(), parser)


def _inactive_place(domain: libvirt.virDomain, disk: FrozenDisk) -> Place:
    if not domain.isPersistent():
        return Place.NONE
    starts_with = _xml(domain, libvirt.VIR_DOMAIN_XML_INACTIVE)
    return inactive_place(disk_of(starts_with, disk.target), disk.overlay_path)


def _check_free(domain: libvirt.virDomain, name: str, targets: Sequence[str]) -> None:
    busy = occupation(domain, targets)
    if busy is not None:
        raise SourceVolumeBusy(f"{name} cannot be held still now: {busy}")


def _quiesced(
    domain: libvirt.virDomain, snapshot: str, disks: Sequence[FrozenDisk]
) -> Consistency | None:
    """None where the agent does not answer, or cannot freeze its guest, and no snapshot is taken:
    libvirt has thawed the guest."""
    with quiesce.limited(domain):
        reached = quiesce.quiesced_by(domain)
        try:
            if reached is not None:
                domain.snapshotCreateXML(snapshot, _SNAPSHOT | _QUIESCE)
        except libvirt.libvirtError:
            # It may have been the thawing that failed. Whatever else it was, the snapshot without
            # the agent meets it too.
            live = _xml(domain)
            places = [live_place(disk_of(live, d.target), d.overlay_path) for d in disks]
            return reached if Place.TOP in places else None
    return reached


def _job(
    domain: libvirt.virDomain, disk: FrozenDisk, now: _Element | None, live: Place
) -> BlockJob:
    job = domain.blockJobInfo(disk.target, 0)
    mirror = None if now is None else now.find("mirror")
    if not job:
        return BlockJob.NONE if mirror is None else BlockJob.LOST
    if job["type"] == _COMMIT and live is Place.BELOW and disk.leaving:
        return BlockJob.RUNNING
    if job["type"] != _ACTIVE_COMMIT or live is not Place.TOP:
        return BlockJob.FOREIGN
    if mirror is not None and mirror.get("ready") == "yes":
        return BlockJob.READY
    # After a restart in the middle, libvirt does not say that it is ready.
    return BlockJob.READY if 0 < job["end"] == job["cur"] else BlockJob.RUNNING
