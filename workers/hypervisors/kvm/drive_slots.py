"""A further drive or disk for a domain: on which bus, and under which name."""

from collections.abc import Iterator
from itertools import count, islice

from lxml import etree
from lxml.etree import _Element

from workers.hypervisors.kvm.element_walk import target_of

_IDE_DRIVES = 4  # QEMU's i440fx has one controller with two channels
_PREFIX = {"ide": "hd", "sata": "sd", "scsi": "sd", "virtio": "vd"}
_UNITS = {"ide": 2, "sata": 6, "scsi": 7}  # on a bus, counted as libvirt does

Place = tuple[int, int, int]  # controller, bus, unit


def add_drive(domain: _Element) -> _Element:
    """An empty one, without an address: libvirt derives it from the name."""
    devices = domain.find("devices")
    assert devices is not None  # a domain of libvirt's has them
    bus, name = _free_slot(domain)
    drive = etree.SubElement(devices, "disk", {"type": "file", "device": "cdrom"})
    etree.SubElement(drive, "target", {"dev": name, "bus": bus})
    etree.SubElement(drive, "readonly")
    return drive


def add_disk(domain: _Element, *, bus: str) -> _Element:
    """Without a file or an address: libvirt derives that from the name."""
    devices = domain.find("devices")
    assert devices is not None  # a domain of libvirt's has them
    disk = etree.Element("disk", {"type": "file", "device": "disk"})
    name = _free_name(bus, devices.findall("disk"))
    devices.append(disk)
    etree.SubElement(disk, "target", {"dev": name, "bus": bus})
    return disk


def _free_slot(domain: _Element) -> tuple[str, str]:
    system = domain.find("os/type")
    arch, machine = ("", "") if system is None else (system.get("arch"), system.get("machine", ""))
    disks = domain.findall("devices/disk")
    if arch not in ("x86_64", "i686"):
        return "scsi", _free_name("scsi", disks)  # such as virt, which has neither IDE nor SATA
    if machine == "pc" or machine.startswith(("pc-i440fx", "pc-0.", "pc-1.")):
        name = _free_name("ide", disks)
        if name in islice(disk_names("ide"), _IDE_DRIVES):
            return "ide", name
    return "sata", _free_name("sata", disks)


def _free_name(bus: str, disks: list[_Element]) -> str:
    taken_names = {target_of(disk) for disk in disks}
    taken = {place for disk in disks if (place := _place_of(disk, bus)) is not None}
    return next(
        name
        for number, name in enumerate(disk_names(bus))
        if name not in taken_names and (bus not in _UNITS or _derived(bus, number) not in taken)
    )


def _place_of(disk: _Element, bus: str) -> Place | None:
    target, address = disk.find("target"), disk.find("address[@type='drive']")
    if target is None or address is None or target.get("bus") != bus:
        return None
    controller, channel, unit = (
        int(address.get(key, "0"), 0) for key in ("controller", "bus", "unit")
    )
    return controller, channel, unit


def _derived(bus: str, number: int) -> Place:
    """Source: libvirt, virDomainDiskDefAssignAddress."""
    units = _UNITS[bus]
    if bus == "ide":
        return number // 4, number % 4 // units, number % units
    return number // units, 0, number % units


def disk_names(bus: str) -> Iterator[str]:
    """Without end: sda to sdz, then sdaa and on."""
    for number in count(1):
        letters, rest = "", number
        while rest:
            rest, letter = divmod(rest - 1, 26)
            letters = chr(ord("a") + letter) + letters
        yield _PREFIX[bus] + letters
