"""What a request asks of a clone's machine, put into the domain that was made from its source's."""

from lxml import etree
from lxml.etree import _Element

from app.domain.machine_wish import BootDevice, BootMode, MachineWish, VmPriority
from workers.hypervisors.kvm.drive_slots import disk_names

_BOOT_DEVICES = {
    BootDevice.HARD_DISK: "hd",
    BootDevice.CD_ROM: "cdrom",
    BootDevice.NETWORK: "network",
}
# Of the host's CPU time when guests compete for it; a domain that says nothing has libvirt's 1024.
_SHARES = {VmPriority.NORMAL: 1024, VmPriority.HIGH: 2048}
_WITH_PASSWORDS = ("vnc", "spice")
_AGENT = "org.qemu.guest_agent.0"
# What libvirt chooses anew for another firmware.
_OF_FIRMWARE = ("loader", "nvram", "firmware", "bios", "varstore")


def fulfil(domain: _Element, wish: MachineWish) -> None:
    if wish.virtio:
        _on_virtio(domain)
    if wish.boot_mode is not None:
        _boot_by(domain, wish.boot_mode)
    if wish.boot_order:
        _boot_from(domain, wish.boot_order)
    if wish.priority is not None:
        _child(_child(domain, "cputune"), "shares").text = str(_SHARES[wish.priority])
    if wish.console_password is not None:
        _lock_console(domain, wish.console_password)
    if wish.guest_agent:
        _add_agent(domain)


def boots_uefi(domain: _Element) -> bool:
    system = domain.find("os")
    if system is None:
        return False
    return system.get("firmware") == "efi" or system.find("loader[@type='pflash']") is not None


def _boot_by(domain: _Element, mode: BootMode) -> None:
    if boots_uefi(domain) == (mode is BootMode.UEFI):
        return
    system = domain.find("os")
    assert system is not None  # a domain of libvirt's has one
    system.attrib.pop("firmware", "")
    for name in _OF_FIRMWARE:
        for element in system.findall(name):
            system.remove(element)
    if mode is BootMode.UEFI:
        system.set("firmware", "efi")


def _boot_from(domain: _Element, order: tuple[BootDevice, ...]) -> None:
    """libvirt takes an order of kinds or one of devices, not both."""
    for parent in (*domain.iterfind("devices/*"), *domain.iterfind("os")):
        for boot in parent.findall("boot"):
            parent.remove(boot)
    system = domain.find("os")
    assert system is not None  # a domain of libvirt's has one
    for device in order:
        etree.SubElement(system, "boot", {"dev": _BOOT_DEVICES[device]})


def _on_virtio(domain: _Element) -> None:
    """The disks, under names and addresses of that bus; NICs are told by their parts."""
    taken = {str(target.get("dev")) for target in domain.iterfind("devices/disk/target")}
    names = (name for name in disk_names("virtio") if name not in taken)
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        if disk.get("device", "disk") != "disk" or target is None or target.get("bus") == "virtio":
            continue
        target.attrib.pop("rotation_rate", "")
        target.set("bus", "virtio")
        target.set("dev", next(names))
        for name in ("address", "wwn", "vendor", "product"):  # of SCSI and ATA alone
            for element in disk.findall(name):
                disk.remove(element)


def _lock_console(domain: _Element, password: str) -> None:
    """On every console that knows passwords; one by VNC where there is none."""
    devices = domain.find("devices")
    assert devices is not None  # a domain of libvirt's has them
    consoles = [g for g in devices.iterfind("graphics") if g.get("type") in _WITH_PASSWORDS]
    if not consoles:
        own = {"type": "vnc", "port": "-1", "autoport": "yes"}
        consoles = [etree.SubElement(devices, "graphics", own)]
    for console in consoles:
        console.set("passwd", password)


def _add_agent(domain: _Element) -> None:
    devices = domain.find("devices")
    assert devices is not None  # a domain of libvirt's has them
    if devices.find(f"channel/target[@name='{_AGENT}']") is None:
        channel = etree.SubElement(devices, "channel", {"type": "unix"})
        etree.SubElement(channel, "target", {"type": "virtio", "name": _AGENT})


def _child(parent: _Element, tag: str) -> _Element:
    found = parent.find(tag)
    return etree.SubElement(parent, tag) if found is None else found
