"""`vmclone doctor --source VM`: what would become of clones of it. Runs on its host."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.domain.errors import CloneError, InvalidArgument, ResourceNotFound
from app.domain.guest import WINDOWS
from app.domain.plan import HostRef, HypervisorType, SourceRef
from app.settings import Settings
from app.store import audit, sources
from app.store.session import Database
from app.store.sources import FoundVm
from workers.guest.template import judge
from workers.hypervisors import open_hypervisor
from workers.hypervisors.base import SourceLook
from workers.ops.doctor.findings import Check

if TYPE_CHECKING:
    from workers.hypervisors.kvm.driver import KvmHypervisor
    from workers.hypervisors.kvm.source_domain import SourceDisk, SourceDomain

NO_AGENT = (
    "install and start qemu-guest-agent in it, and give its domain the channel "
    "org.qemu.guest_agent.0. Until then nobody can tell whether its clones become who they are "
    "told, and a copy of it while it runs is as after a power failure"
)


def check_source(
    database: Database, settings: Settings, machine_id: str, named: str
) -> Iterator[Check]:
    """Raises ResourceNotFound, and InvalidArgument where several VMs have the name."""
    with database.single() as connection:
        vm = _only(sources.find(connection, named), named)
        source = sources.ref(connection, vm.uuid)
        served = {host.uuid: host for host in audit.served(connection, machine_id).hosts}
    if vm.hypervisor_type is not HypervisorType.KVM:
        yield Check(
            "source", True, f"{source.name} is on a simulated host: there is nothing to see"
        )
        return
    host = served.get(vm.host_uuid or "")
    if host is None:
        text = f"{source.name} is on host {vm.host_name}, which another machine serves: ask there"
        yield Check("source", False, text)
        return
    yield from _on_host(source, host, settings, windows=vm.platform == WINDOWS)


def _only(found: list[FoundVm], named: str) -> FoundVm:
    if not found:
        raise ResourceNotFound(
            f"vm[uuid or name:{named}] does not exist; declare it with vmclone inventory"
        )
    if len(found) > 1:
        uuids = ", ".join(vm.uuid for vm in found)
        raise InvalidArgument(f"{len(found)} VMs are called {named}: name one by its uuid: {uuids}")
    return found[0]


def _on_host(
    source: SourceRef, host: HostRef, settings: Settings, *, windows: bool
) -> Iterator[Check]:
    try:
        hypervisor: KvmHypervisor = open_hypervisor(host, settings)  # type: ignore[assignment]
        look = hypervisor.look_at(source)
        domain = _read(look)
    except CloneError as error:
        yield Check("source", False, error.details)
        return
    yield _found(source, host, domain)
    yield from _cloneable(hypervisor, source, look)
    for disk in domain.disks:
        yield Check(f"disk {disk.target}", True, _disk(disk))
    yield from _firmware(look, domain)
    if look.running and windows:
        yield Check("guest", True, f"{WINDOWS}: not looked into; docs/guest-identity.md says more")
    elif look.running:
        yield from _guest(hypervisor, source)
    else:
        yield Check("guest", True, "it is stopped: while it runs, this looks into its guest too")


def _read(look: SourceLook) -> "SourceDomain":
    from workers.hypervisors.kvm.source_xml import read_source

    assert look.xml is not None  # of a KVM host
    return read_source(look.xml, look.live_xml)


def _found(source: SourceRef, host: HostRef, domain: "SourceDomain") -> Check:
    if domain.uuid is None:
        text = "libvirt does not know it: its clones become plain virtio machines with its volumes"
    else:
        state = "running" if domain.running else "stopped"
        text = f"domain {domain.name}, {state}, {domain.machine or domain.arch}"
    return Check("source", True, f"{source.name} on host {host.name}: {text}")


def _cloneable(hypervisor: "KvmHypervisor", source: SourceRef, look: SourceLook) -> Iterator[Check]:
    """As a job's start asks it, for all volumes."""
    try:
        prepared = hypervisor.prepare(source, look, source.volumes, reset_tpm=False)
    except CloneError as error:
        yield Check("can be cloned", False, error.details)
        return
    yield Check("can be cloned", True, f"with {len(source.volumes)} volumes")
    for note in prepared.notes:
        yield Check("note", True, note)


def _disk(disk: "SourceDisk") -> str:
    place = disk.path or (f"volume {disk.volume} of pool {disk.pool}" if disk.pool else "empty")
    marks = ("readonly", "shareable", "transient")
    said = [disk.device, *(mark for mark in marks if getattr(disk, mark))]
    chain = [f"{layer.path} ({layer.format})" for layer in disk.backing or ()]
    below = f", on {', on '.join(chain)}" if chain else ""
    return f"{place} ({disk.format or 'raw'}, {' '.join(said)}){below}"


def _firmware(look: SourceLook, domain: "SourceDomain") -> Iterator[Check]:
    if look.nvram is not None:
        yield Check("NVRAM", True, f"{len(look.nvram)} bytes of firmware variables, copied")
    elif domain.nvram_path or domain.firmware == "efi":
        yield Check("NVRAM", True, "none yet: it never started, and clones get fresh ones")
    if domain.tpm is None:
        return
    if look.running:
        text = "it runs, so its state cannot be copied: stop it, or ask for resetTpm"
    elif look.tpm_state is None:
        text = "without a state in libvirt's folder: clones get an empty one"
    else:
        text = "its state is copied, or left empty with resetTpm"
    yield Check("TPM", True, text)


def _guest(hypervisor: "KvmHypervisor", source: SourceRef) -> Iterator[Check]:
    from workers.hypervisors.kvm.guest_agent import AgentSilent, QuestionRefused

    try:
        found = hypervisor.read_guest(source)
    except AgentSilent as silence:
        yield Check("guest agent", False, f"does not answer ({silence}): {NO_AGENT}")
        return
    except QuestionRefused as refusal:
        text = f"answers, but may neither run nor read anything ({refusal}): allow it guest-exec"
        yield Check("guest agent", False, f"{text} or guest-file-open to have the guest looked at")
        return
    except CloneError as error:
        yield Check("guest agent", False, error.details)
        return
    complete = "answers" if found.complete else "answers, and cannot list folders: not all is seen"
    yield Check("guest agent", True, complete)
    for remark in judge(found.files):
        yield Check(f"guest, {remark.what}", remark.held, remark.text)
