"""What a KVM host needs, each line in order or with what to do. Runs on that host."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from app.domain.errors import CloneError
from app.domain.plan import HostRef, StorageRef
from app.settings import Settings
from workers.hypervisors import open_hypervisor
from workers.ops.doctor.findings import Check
from workers.storage import open_storage

if TYPE_CHECKING:
    from workers.hypervisors.kvm.driver import KvmHypervisor


@dataclass(frozen=True, slots=True)
class HostNetwork:
    """An L3 network that the host's cluster reaches."""

    name: str
    bridge: str | None
    libvirt_network: str | None


def check_host(
    host: HostRef,
    storages: Sequence[StorageRef],
    networks: Sequence[HostNetwork],
    settings: Settings,
) -> Iterator[Check]:
    """The rest is left out once libvirt does not answer."""
    what = f"host {host.name}"
    try:
        hypervisor: KvmHypervisor = open_hypervisor(host, settings)  # type: ignore[assignment]
        facts = hypervisor.facts()
    except CloneError as error:
        yield Check(f"{what}, libvirt", False, error.details)
        return
    if facts is not None:
        yield Check(
            f"{what}, libvirt",
            True,
            f"{facts.cpu_num} CPUs, {facts.memory_bytes >> 30} GiB, {len(facts.foreign)} domains "
            "that are not vmclone's run there",
        )
    yield _tool(what)
    yield _accelerator(what, settings.home)
    for network in networks:
        yield _network(what, network, hypervisor)
    for storage in storages:
        yield from _images(what, storage, host, settings)


def _tool(what: str) -> Check:
    found = shutil.which("qemu-img")
    text = found or "missing: chains of images cannot be flattened; install qemu-utils (qemu-img)"
    return Check(f"{what}, qemu-img", found is not None, text)


def _accelerator(what: str, home: Path) -> Check:
    from workers.hypervisors.kvm.accelerator import KVM, domain_type, find_emulator

    name = f"{what}, KVM"
    emulator = find_emulator()
    if emulator is None:
        return Check(
            name, False, "there is no QEMU for this machine: install qemu-system or qemu-kvm"
        )
    if domain_type(home) == KVM:
        return Check(name, True, f"{emulator} boots")
    if not os.path.exists("/dev/kvm"):
        text = "there is no /dev/kvm"
    elif not os.access("/dev/kvm", os.R_OK | os.W_OK):
        text = "/dev/kvm may not be opened: run this as the worker's user, root"
    else:
        text = f"/dev/kvm is there, and {emulator} boots nothing by it"
    return Check(
        name,
        False,
        f"{text}; guests are emulated, many times slower. Turn virtualisation on in the firmware, "
        "load kvm_intel or kvm_amd, or give this host nested virtualisation",
    )


def _network(what: str, network: HostNetwork, hypervisor: "KvmHypervisor") -> Check:
    name = f"{what}, network {network.name}"
    fault = hypervisor.network_fault(network.bridge, network.libvirt_network)
    there = network.libvirt_network or network.bridge
    return Check(name, fault is None, fault or f"{there} is there")


def _images(what: str, storage: StorageRef, host: HostRef, settings: Settings) -> Iterator[Check]:
    """By a probe of libvirt's own: QEMU runs as another user, and confined, on most systems."""
    from workers.hypervisors.kvm.probe import start_with

    name = f"{what}, images in {storage.url}"
    driver = open_storage(storage, settings)
    path = f"{storage.url.rstrip('/')}/work/{uuid4().hex}.part"
    try:
        driver.put(path, bytes(1 << 20), part_of=uuid4().hex)
        try:
            probed = start_with(path, host, settings.home)
        finally:
            driver.drop(path)
    except CloneError as error:
        yield Check(name, False, error.details)
        return
    if probed.fault is not None:
        todo = "give QEMU's user, AppArmor or SELinux access to the folder and to each one above it"
        yield Check(name, False, f"{probed.fault}; {todo}")
        return
    yield Check(name, True, "a guest can use them")
    yield _locks(f"{what}, image locks in {storage.url}", held=probed.locked)


def _locks(name: str, *, held: bool) -> Check:
    text = "a guest's are seen"
    if not held:
        text = (
            "a guest has an image open, and nobody can see it: a source that is written to at "
            "the same time would be copied all the same. Mount the file system with locks (NFS "
            "without nolock or local_lock, its lock service running), and leave QEMU's own on"
        )
    return Check(name, held, text)
