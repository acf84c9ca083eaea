"""A domain for a source that the inventory declares and libvirt does not know: a plain virtio
machine, from which clones are built as from any other.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from lxml import etree
from lxml.etree import _Element

from app.domain.errors import SourceNotCloneable
from app.domain.plan import SourceVolume
from workers.hypervisors.kvm.disk_xml import backing_store
from workers.hypervisors.kvm.drive_slots import add_drive, disk_names

_MACHINES = {"x86_64": "q35", "aarch64": "virt"}
_NAME = "vmclone-default"  # never defined: a clone's domain is named by its own uuid


def default_source(
    arch: str,
    machine: str | None = None,
    *,
    volumes: Sequence[SourceVolume],
    nics: Sequence[str] = ("virtio",),
    cdroms: int = 0,
    vcpu: int = 1,
    memory: int = 1 << 30,
    graphics: bool = False,
) -> str:
    """Inactive XML with the volumes as vda and on, root first, and a NIC of each model; `memory` in
    bytes.

    Raises SourceNotCloneable for an architecture that has no such machine.
    """
    if arch not in _MACHINES:
        raise SourceNotCloneable(
            f"libvirt does not know it, and there is no default machine for {arch}, only for "
            f"{' and '.join(_MACHINES)}: define it in libvirt, or correct its architecture in the "
            "inventory"
        )
    domain = etree.Element("domain", {"type": "kvm"})
    etree.SubElement(domain, "name").text = _NAME
    etree.SubElement(domain, "memory", {"unit": "b"}).text = str(memory)
    etree.SubElement(domain, "vcpu").text = str(vcpu)
    domain.extend(_machine(arch, machine or _MACHINES[arch]))
    devices = etree.SubElement(domain, "devices")
    devices.extend(_disks(volumes))
    devices.extend(_nics(nics))
    devices.extend(_channels())
    if graphics:
        devices.extend(_display())
    for _ in range(cdroms):
        add_drive(domain)
    return etree.tostring(domain, encoding="unicode", pretty_print=True)


def _machine(arch: str, machine: str) -> Iterator[_Element]:
    system = etree.Element("os")
    if arch == "aarch64":
        system.set("firmware", "efi")  # its machines have no BIOS
    etree.SubElement(system, "type", {"arch": arch, "machine": machine}).text = "hvm"
    etree.SubElement(system, "boot", {"dev": "hd"})
    yield system
    features = etree.Element("features")
    etree.SubElement(features, "acpi")
    if arch == "x86_64":
        etree.SubElement(features, "apic")
    yield features
    yield etree.Element("cpu", {"mode": "host-passthrough"})
    yield etree.Element("clock", {"offset": "utc"})


def _disks(volumes: Sequence[SourceVolume]) -> Iterator[_Element]:
    for name, volume in zip(islice(disk_names("virtio"), len(volumes)), volumes, strict=True):
        disk = etree.Element("disk", {"type": "file", "device": "disk"})
        driver = {"name": "qemu", "type": volume.format.value, "discard": "unmap"}
        etree.SubElement(disk, "driver", driver)
        etree.SubElement(disk, "source", {"file": volume.path})
        disk.append(backing_store(volume.backing))
        etree.SubElement(disk, "target", {"dev": name, "bus": "virtio"})
        yield disk


def _nics(models: Sequence[str]) -> Iterator[_Element]:
    """Slots: a clone's NICs bring their own networks. It boots from its disk, and is spared what
    the firmware does to boot from a network, which under emulation is a second."""
    for model in models:
        nic = etree.Element("interface", {"type": "user"})
        etree.SubElement(nic, "model", {"type": model})
        etree.SubElement(nic, "rom", {"enabled": "no"})
        yield nic


def _channels() -> Iterator[_Element]:
    yield etree.Element("serial", {"type": "pty"})
    yield etree.Element("console", {"type": "pty"})
    agent = etree.Element("channel", {"type": "unix"})
    etree.SubElement(agent, "target", {"type": "virtio", "name": "org.qemu.guest_agent.0"})
    yield agent
    rng = etree.Element("rng", {"model": "virtio"})
    etree.SubElement(rng, "backend", {"model": "random"}).text = "/dev/urandom"
    yield rng
    yield etree.Element("memballoon", {"model": "virtio"})


def _display() -> Iterator[_Element]:
    yield etree.Element("graphics", {"type": "vnc", "port": "-1", "autoport": "yes"})
    video = etree.Element("video")
    etree.SubElement(video, "model", {"type": "virtio"})
    yield video
