"""KVM through libvirt: domains of this host's system instance."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

import libvirt

from app.domain.errors import (
    CloneError,
    DomainBusy,
    OperationFailed,
    SourceNotCloneable,
    VmStartFailed,
)
from app.domain.guest import GuestReport
from app.domain.machine_wish import BootMode
from app.domain.plan import ClonePlan, HostRef, NicPlan, RunningDomain, SourceRef, SourceVolume
from workers.hypervisors.base import (
    Domain,
    DomainTemplate,
    HostFacts,
    Prepared,
    SourceLook,
)
from workers.hypervisors.kvm import guest_agent, own_state
from workers.hypervisors.kvm.accelerator import domain_type
from workers.hypervisors.kvm.capabilities import needs_of, runs_of
from workers.hypervisors.kvm.clone_parts import DomainType, TpmState
from workers.hypervisors.kvm.connection import SYSTEM_URI, Connection
from workers.hypervisors.kvm.default_source import default_source
from workers.hypervisors.kvm.domain_form import clone_xml
from workers.hypervisors.kvm.domain_xml import build
from workers.hypervisors.kvm.faults import is_gone, is_invalid_now
from workers.hypervisors.kvm.guest_files import GuestFiles, read_files
from workers.hypervisors.kvm.lookup import ours, source_domain, vm_of
from workers.hypervisors.kvm.networks import Networks
from workers.hypervisors.kvm.plan_parts import parts_of, rehearsed_parts
from workers.hypervisors.kvm.resize_xml import resized
from workers.hypervisors.kvm.snapshots import KvmSnapshots
from workers.hypervisors.kvm.source_disks import seed_of, targets_of
from workers.hypervisors.kvm.source_domain import SourceDisk, SourceDomain, check_cloneable
from workers.hypervisors.kvm.source_xml import masked, read_source
from workers.hypervisors.kvm.starting import settles

_SECURE = libvirt.VIR_DOMAIN_XML_SECURE
_FORGET = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_TPM
)


class KvmHypervisor:
    def __init__(self, host: HostRef, home: Path, connection: Connection | None = None) -> None:
        """`home` is the worker's own folder."""
        self._host = host
        self._home = home
        self._connection = connection or Connection(host.libvirt_uri or SYSTEM_URI)
        self._networks = Networks(host, self._connection)
        self.snapshots = KvmSnapshots(host, self._connection)

    def facts(self) -> HostFacts:
        with self._opened("looking at the host") as libvirtd:
            _, memory_mib, cpus, *_ = libvirtd.getInfo()
            running = libvirtd.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            foreign = tuple(filter(None, map(_foreign, running)))
            runs = runs_of(libvirtd)
        domain_type(self._home)  # so that no clone waits for the probe
        return HostFacts(cpus, memory_mib << 20, foreign, runs)

    def look_at(self, source: SourceRef) -> SourceLook:
        with self._opened(f"looking at {source.name}") as libvirtd:
            domain = source_domain(libvirtd, source)
            if domain is None:
                return SourceLook(running=False, xml=_declared(source))
            running = bool(domain.isActive())
            # Only so does libvirt say that the source's console has a password.
            xml = masked(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | _SECURE))
            live_xml = domain.XMLDesc() if running else None
            name, uuid = domain.name(), domain.UUIDString()
        known = _read(xml, live_xml)
        nvram = _nvram_of(known, name)
        return SourceLook(
            running=running,
            xml=xml,
            live_xml=live_xml,
            nvram=own_state.read_nvram(nvram) if nvram else None,
            tpm_state=own_state.read_tpm(uuid) if known.tpm and not running else None,
        )

    def prepare(
        self,
        source: SourceRef,
        look: SourceLook,
        volumes: Sequence[SourceVolume],
        *,
        reset_tpm: bool,
    ) -> Prepared:
        assert look.xml is not None  # of this driver
        known = _read(look.xml, look.live_xml)
        check_cloneable(known, reset_tpm=reset_tpm)
        paths = self._paths(known.disks)
        targets = targets_of(volumes, known.disks, paths)
        seed = seed_of(known.disks, paths, frozenset(targets.values()))
        template = DomainTemplate(look.xml, look.live_xml, look.nvram, look.tpm_state, seed)
        rehearsed = build(look.xml, rehearsed_parts(source, volumes, targets), look.live_xml)
        return Prepared(template, targets, rehearsed.notes, needs_of(known))

    def _paths(self, disks: Sequence[SourceDisk]) -> dict[str, str]:
        """Of the disks that have a file or device, by target dev."""
        paths = {disk.target: disk.path for disk in disks if disk.path}
        for disk in disks:
            if disk.pool and disk.volume:
                paths[disk.target] = self._path_in_pool(disk.pool, disk.volume)
        return paths

    def _path_in_pool(self, pool: str, volume: str) -> str:
        doing = f"looking for volume {volume} in storage pool {pool}"
        with self._opened(doing, SourceNotCloneable) as libvirtd:
            return str(libvirtd.storagePoolLookupByName(pool).storageVolLookupByName(volume).path())

    def attach_nics(self, plan: ClonePlan) -> None:
        self._networks.prepare(plan)

    def network_fault(self, bridge: str | None, libvirt_network: str | None) -> str | None:
        """Why no NIC can be plugged in there, and what to do; None if one can."""
        return self._networks.fault_of(bridge, libvirt_network)

    def detach_nics(self, nics: Sequence[NicPlan]) -> None:
        self._networks.forget(nics)

    def define(self, plan: ClonePlan, template: DomainTemplate | None) -> None:
        if template is None:
            raise OperationFailed(
                f"base set[uuid:{plan.base_set_uuid}] has no domain to define the clone from: it "
                "was made before this host was a KVM host; clone again"
            )
        known = _read(template.xml, template.live_xml)
        # Firmware of another kind has no use for the source's variables.
        variables = None if plan.machine.boot_mode is BootMode.LEGACY else template.nvram
        nvram = own_state.nvram_path(plan.vm_uuid) if variables is not None else None
        parts = parts_of(
            plan,
            template,
            known,
            domain_type=DomainType(domain_type(self._home)),
            nvram_path=str(nvram) if nvram else None,
        )
        xml = clone_xml(template.xml, parts, template.live_xml)
        with self._opened(f"defining vm[name:{plan.vm_name}]") as libvirtd:
            ours(libvirtd, plan.vm_uuid)
            # Without libvirt's validation, which reads its schema anew for each domain: 10 ms of
            # the 13 that a define takes.
            libvirtd.defineXML(xml)
        copied = parts.tpm is TpmState.COPIED
        own_state.write(plan.vm_uuid, variables, template.tpm_state if copied else None)

    def undefine(self, vm_uuid: str) -> None:
        with self._opened(f"undefining vm[uuid:{vm_uuid}]") as libvirtd:
            domain = ours(libvirtd, vm_uuid)
            if domain is not None:
                if domain.isActive():
                    raise OperationFailed(f"vm[uuid:{vm_uuid}] is running: destroy it first")
                domain.undefineFlags(_FORGET)
        own_state.remove(vm_uuid)

    def start(self, vm_uuid: str) -> None:
        with self._opened(f"starting vm[uuid:{vm_uuid}]", VmStartFailed) as libvirtd:
            domain = ours(libvirtd, vm_uuid)
            if domain is None:
                raise VmStartFailed(f"vm[uuid:{vm_uuid}] is not defined on {self._host.name}")
            if not settles(domain):
                raise DomainBusy(f"vm[uuid:{vm_uuid}] is being started and does not come up yet")
            if domain.isActive():
                return
            try:
                domain.create()
            except libvirt.libvirtError as error:
                if not (is_invalid_now(error) and domain.isActive()):
                    raise

    def shut_down(self, vm_uuid: str) -> None:
        with self._opened(f"shutting down vm[uuid:{vm_uuid}]") as libvirtd:
            domain = ours(libvirtd, vm_uuid)
            if domain is None or not domain.isActive():
                return
            try:
                domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
            except libvirt.libvirtError as error:
                if not (is_gone(error) or is_invalid_now(error)):
                    raise

    def resize(self, vm_uuid: str, cpu_num: int, memory_size: int) -> None:
        with self._opened(f"resizing vm[uuid:{vm_uuid}]") as libvirtd:
            domain = ours(libvirtd, vm_uuid)
            if domain is None:
                raise OperationFailed(f"vm[uuid:{vm_uuid}] is not defined on {self._host.name}")
            # With passwords, or they would be gone.
            stored = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | _SECURE)
            libvirtd.defineXML(resized(stored, cpu_num, memory_size))

    def destroy(self, vm_uuid: str) -> None:
        with self._opened(f"destroying vm[uuid:{vm_uuid}]") as libvirtd:
            domain = ours(libvirtd, vm_uuid)
            if domain is None:
                return
            settles(domain)  # or hangs, and is destroyed for it
            if not domain.isActive():
                return
            try:
                domain.destroy()
            except libvirt.libvirtError as error:
                if not (is_gone(error) or is_invalid_now(error)):
                    raise

    def is_running(self, vm_uuid: str) -> bool | None:
        with self._opened(f"looking at vm[uuid:{vm_uuid}]") as libvirtd:
            domain = ours(libvirtd, vm_uuid)
            return None if domain is None else bool(domain.isActive())

    def ask_guest(self, vm_uuid: str) -> GuestReport | None:
        with self._opened(f"asking the guest of vm[uuid:{vm_uuid}]") as libvirtd:
            domain = ours(libvirtd, vm_uuid)
            return None if domain is None else guest_agent.report(domain)

    def read_guest(self, source: SourceRef) -> GuestFiles:
        """What tells whether a running source is a good template. Raises AgentSilent,
        QuestionRefused."""
        with self._opened(f"asking the guest of {source.name}") as libvirtd:
            domain = source_domain(libvirtd, source)
            if domain is None:
                raise guest_agent.AgentSilent("libvirt does not know its domain")
            return read_files(domain)

    def leftovers(self) -> list[str]:
        left = own_state.left()
        with self._opened("listing domains") as libvirtd:
            domains = libvirtd.listAllDomains()
            names = {domain.name() for domain in domains}
            uuids = {domain.UUIDString().replace("-", "") for domain in domains}
        return sorted(left - names - uuids)

    def list_domains(self) -> list[Domain]:
        with self._opened("listing domains") as libvirtd:
            return [
                Domain(uuid, bool(domain.isActive()))
                for domain in libvirtd.listAllDomains()
                if (uuid := vm_of(domain)) is not None
            ]

    def _opened(
        self, doing: str, otherwise: type[CloneError] = OperationFailed
    ) -> AbstractContextManager[libvirt.virConnect]:
        return self._connection.opened(f"{doing} on host {self._host.name}", otherwise)


def _declared(source: SourceRef) -> str:
    return default_source(
        source.architecture,
        volumes=source.volumes,
        nics=source.nics,
        cdroms=source.cdroms,
        vcpu=source.cpu_num,
        memory=source.memory_size,
    )


@lru_cache(maxsize=16)
def _read(xml: str, live_xml: str | None) -> SourceDomain:
    """All clones of a base set are built from the same."""
    return read_source(xml, live_xml)


def _nvram_of(source: SourceDomain, name: str) -> Path | None:
    """The file with the firmware's variables; None where its firmware has none."""
    if source.nvram_path:
        return Path(source.nvram_path)
    return own_state.default_nvram_path(name) if source.firmware == "efi" else None


def _foreign(domain: libvirt.virDomain) -> RunningDomain | None:
    """None for one of vmclone's, and for one that has ended meanwhile."""
    if vm_of(domain) is not None:
        return None
    try:
        _, memory_kib, _, cpus, _ = domain.info()
    except libvirt.libvirtError as error:
        if is_gone(error):
            return None
        raise
    uuid = domain.UUIDString().replace("-", "")
    return RunningDomain(uuid, domain.name(), cpus, memory_kib << 10)
