"""KVM through libvirt: domains of this host's system instance."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from uuid import UUID

import libvirt

from app.domain.errors import (
    CloneError,
    ForeignDomain,
    OperationFailed,
    SourceNotCloneable,
    VmStartFailed,
)
from app.domain.plan import ClonePlan, HostRef, NicPlan, RunningDomain, SourceRef, SourceVolume
from workers.guest.labels import is_seed
from workers.hypervisors.base import (
    Domain,
    DomainTemplate,
    HostFacts,
    SourceLook,
)
from workers.hypervisors.kvm.accelerator import domain_type
from workers.hypervisors.kvm.connection import SYSTEM_URI, Connection
from workers.hypervisors.kvm.default_domain import default_domain
from workers.hypervisors.kvm.domain import NAMESPACE, Own, build, vm_of
from workers.hypervisors.kvm.faults import is_gone, is_invalid_now
from workers.hypervisors.kvm.networks import Networks
from workers.hypervisors.kvm.snapshots import KvmSnapshots
from workers.hypervisors.kvm.template import SourceDisks, disk_paths, make_template, parse

NVRAM_FOLDER = Path("/var/lib/libvirt/qemu/nvram")  # libvirt's own
_FORGET = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_TPM
)


class KvmHypervisor:
    def __init__(self, host: HostRef, connection: Connection | None = None) -> None:
        self._host = host
        self._connection = connection or Connection(host.libvirt_uri or SYSTEM_URI)
        self._networks = Networks(self._connection)
        self.snapshots = KvmSnapshots(host, self._connection)

    def facts(self) -> HostFacts:
        with self._opened("looking at the host") as libvirtd:
            _, memory_mib, cpus, *_ = libvirtd.getInfo()
            running = libvirtd.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            foreign = tuple(_running(domain) for domain in running if _vm_of(domain) is None)
        return HostFacts(cpus, memory_mib << 20, foreign)

    def look_at(self, source: SourceRef) -> SourceLook:
        with self._opened(f"looking at {source.name}") as libvirtd:
            domain = _source(libvirtd, source)
            if domain is None:
                return SourceLook(running=False, xml=_declared(source))
            running = bool(domain.isActive())
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        firmware = parse(xml).findtext("os/nvram")
        return SourceLook(running, xml, _read_alike(Path(firmware)) if firmware else None)

    def template(
        self, look: SourceLook, bases: Sequence[tuple[SourceVolume, str]]
    ) -> DomainTemplate:
        assert look.xml is not None  # of this driver
        parsed = parse(look.xml)
        paths = {os.path.realpath(path): path for _, path in disk_paths(parsed)}
        known: dict[str, str] = {}
        for volume, base in bases:
            path = paths.get(os.path.realpath(volume.path))
            if path is None:
                raise SourceNotCloneable(
                    f"volume[uuid:{volume.uuid}, path:{volume.path}] is no disk of its domain, "
                    f"which has {', '.join(sorted(paths.values())) or 'none'}; correct the "
                    "inventory, or attach it"
                )
            known[path] = base
        seeds = frozenset(path for path in paths.values() if path not in known and is_seed(path))
        return DomainTemplate(make_template(look.xml, SourceDisks(known, seeds)), look.nvram)

    def attach_nics(self, plan: ClonePlan) -> None:
        self._networks.prepare(plan)

    def detach_nics(self, nics: Sequence[NicPlan]) -> None:
        self._networks.forget(nics)

    def define(self, plan: ClonePlan, template: DomainTemplate | None) -> None:
        if template is None:
            raise OperationFailed(
                f"base set[uuid:{plan.base_set_uuid}] has no domain to define the clone from: it "
                "was made before this host was a KVM host; clone again"
            )
        firmware = NVRAM_FOLDER / f"{plan.vm_uuid}.fd" if template.nvram is not None else None
        own = Own(
            domain_type=domain_type(),
            job_uuid=plan.job_uuid,
            item_uuid=plan.item_uuid,
            nvram_path=str(firmware) if firmware else None,
        )
        xml = build(template.xml, plan, own)
        with self._opened(f"defining vm[name:{plan.vm_name}]") as libvirtd:
            _ours(libvirtd, plan.vm_uuid)
            libvirtd.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        if firmware is not None and template.nvram is not None:
            _write(firmware, template.nvram)

    def undefine(self, vm_uuid: str) -> None:
        with self._opened(f"undefining vm[uuid:{vm_uuid}]") as libvirtd:
            domain = _ours(libvirtd, vm_uuid)
            if domain is not None:
                if domain.isActive():
                    raise OperationFailed(f"vm[uuid:{vm_uuid}] is running: destroy it first")
                domain.undefineFlags(_FORGET)
        with suppress(FileNotFoundError):
            (NVRAM_FOLDER / f"{vm_uuid}.fd").unlink()

    def start(self, vm_uuid: str) -> None:
        with self._opened(f"starting vm[uuid:{vm_uuid}]", VmStartFailed) as libvirtd:
            domain = _ours(libvirtd, vm_uuid)
            if domain is None:
                raise VmStartFailed(f"vm[uuid:{vm_uuid}] is not defined on {self._host.name}")
            if domain.isActive():
                return
            try:
                domain.create()
            except libvirt.libvirtError as error:
                if not (is_invalid_now(error) and domain.isActive()):
                    raise

    def destroy(self, vm_uuid: str) -> None:
        with self._opened(f"destroying vm[uuid:{vm_uuid}]") as libvirtd:
            domain = _ours(libvirtd, vm_uuid)
            if domain is None or not domain.isActive():
                return
            try:
                domain.destroy()
            except libvirt.libvirtError as error:
                if not (is_gone(error) or is_invalid_now(error)):
                    raise

    def is_running(self, vm_uuid: str) -> bool | None:
        with self._opened(f"looking at vm[uuid:{vm_uuid}]") as libvirtd:
            domain = _ours(libvirtd, vm_uuid)
            return None if domain is None else bool(domain.isActive())

    def list_domains(self) -> list[Domain]:
        with self._opened("listing domains") as libvirtd:
            return [
                Domain(uuid, bool(domain.isActive()))
                for domain in libvirtd.listAllDomains()
                if (uuid := _vm_of(domain)) is not None
            ]

    def _opened(
        self, doing: str, otherwise: type[CloneError] = OperationFailed
    ) -> AbstractContextManager[libvirt.virConnect]:
        return self._connection.opened(f"{doing} on host {self._host.name}", otherwise)


def _ours(libvirtd: libvirt.virConnect, vm_uuid: str) -> libvirt.virDomain | None:
    """Raises ForeignDomain where somebody else has the name."""
    domain = _found(libvirtd.lookupByName, vm_uuid)
    if domain is not None and _vm_of(domain) != vm_uuid:
        raise ForeignDomain(
            f"domain {vm_uuid} on this host was not made by vmclone; rename or remove it"
        )
    return domain


def _source(libvirtd: libvirt.virConnect, source: SourceRef) -> libvirt.virDomain | None:
    """By its uuid; a VM that the inventory named, by that name."""
    by_uuid = _found(libvirtd.lookupByUUIDString, str(UUID(source.uuid)))
    return by_uuid or _found(libvirtd.lookupByName, source.name)


def _declared(source: SourceRef) -> str:
    return default_domain(
        architecture=source.architecture,
        paths=source.paths,
        nics=source.nics,
        cdroms=source.cdroms,
    )


def _found(lookup: Callable[[str], libvirt.virDomain], key: str) -> libvirt.virDomain | None:
    try:
        return lookup(key)
    except libvirt.libvirtError as error:
        if is_gone(error):
            return None
        raise


def _running(domain: libvirt.virDomain) -> RunningDomain:
    _, memory_kib, _, cpus, _ = domain.info()
    uuid = domain.UUIDString().replace("-", "")
    return RunningDomain(uuid, domain.name(), cpus, memory_kib << 10)


def _vm_of(domain: libvirt.virDomain) -> str | None:
    """The VM that vmclone defined it for; None for a foreign one, and one that is gone by now."""
    try:
        return vm_of(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
    except libvirt.libvirtError as error:
        if is_gone(error):
            return None
        raise


def _read_alike(path: Path) -> bytes:
    """Twice the same: nobody wrote it in between."""
    try:
        first, second = path.read_bytes(), path.read_bytes()
    except OSError as error:
        raise SourceNotCloneable(
            f"its firmware's variables {path} cannot be read: {error.strerror}"
        ) from error
    if first != second:
        raise SourceNotCloneable(f"its firmware's variables {path} change just now; try again")
    return first


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all. A file that is there may have been used by its guest already."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.chmod(0o600)
    part.replace(path)
