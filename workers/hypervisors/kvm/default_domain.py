"""A domain for a source that only the inventory knows: its files, and no machine of libvirt's."""

from collections.abc import Sequence

from lxml import etree

_MACHINES = {"x86_64": "q35", "aarch64": "virt"}


def default_domain(
    *, architecture: str, paths: Sequence[str], nics: int, cdroms: int, guest_agent: bool = True
) -> str:
    """Inactive XML of a plain virtio machine whose disks are `paths`, root first."""
    domain = etree.Element("domain", {"type": "kvm"})
    system = etree.SubElement(domain, "os")
    machine = {"machine": _MACHINES[architecture]} if architecture in _MACHINES else {}
    kind = etree.SubElement(system, "type", {"arch": architecture} | machine)
    kind.text = "hvm"
    etree.SubElement(system, "boot", {"dev": "hd"})
    features = etree.SubElement(domain, "features")
    etree.SubElement(features, "acpi")
    if architecture == "x86_64":
        etree.SubElement(features, "apic")
    etree.SubElement(domain, "cpu", {"mode": "host-passthrough", "migratable": "on"})
    etree.SubElement(domain, "clock", {"offset": "utc"})
    devices = etree.SubElement(domain, "devices")
    for number, path in enumerate(paths):
        disk = etree.SubElement(devices, "disk", {"type": "file", "device": "disk"})
        etree.SubElement(disk, "driver", {"name": "qemu", "discard": "unmap"})
        etree.SubElement(disk, "source", {"file": path})
        etree.SubElement(disk, "target", {"dev": f"vd{chr(ord('a') + number)}", "bus": "virtio"})
    for number in range(cdroms):
        drive = etree.SubElement(devices, "disk", {"type": "file", "device": "cdrom"})
        etree.SubElement(drive, "target", {"dev": f"sd{chr(ord('a') + number)}", "bus": "sata"})
        etree.SubElement(drive, "readonly")
    for _ in range(nics):
        etree.SubElement(devices, "interface", {"type": "user"})
    etree.SubElement(devices, "serial", {"type": "pty"})
    etree.SubElement(devices, "console", {"type": "pty"})
    if guest_agent:
        channel = etree.SubElement(devices, "channel", {"type": "unix"})
        etree.SubElement(channel, "target", {"type": "virtio", "name": "org.qemu.guest_agent.0"})
    rng = etree.SubElement(devices, "rng", {"model": "virtio"})
    etree.SubElement(rng, "backend", {"model": "random"}).text = "/dev/urandom"
    return etree.tostring(domain, encoding="unicode")
