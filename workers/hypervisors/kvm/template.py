"""The template that a source's clones are made from: its inactive domain, filtered by the table,
with placeholders where each clone has something of its own.

Made once for a base set, before a byte is copied, so that what cannot be cloned is refused first.
A cloned disk's file is named by the base it is made from.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element as Element

from app.domain.errors import SourceNotCloneable
from workers.hypervisors.kvm.elements import DEVICES, DOMAIN, Treatment

log = logging.getLogger(__name__)

BASE = "vmclone-base:"  # and the base's uuid, as a disk's file
SEED = "vmclone-seed"  # the file of the drive that had the source's own seed
_QEMU_ELEMENTS = ("commandline", "override", "capabilities", "deprecation")
_PINNING = ("vcpupin", "emulatorpin", "iothreadpin", "vcpusched", "iothreadsched", "cachetune")


@dataclass(frozen=True, slots=True)
class SourceDisks:
    """What the disks of a domain are to its clones, by the path of their image."""

    bases: Mapping[str, str]  # the base's uuid
    seeds: frozenset[str] = frozenset()  # labelled as a source of guest configuration


def make_template(inactive_xml: str, disks: SourceDisks, *, keep_pinning: bool = False) -> str:
    """Raises SourceNotCloneable, naming the element."""
    domain = parse(inactive_xml)
    _filter(domain, DOMAIN, keep_pinning=keep_pinning)
    devices = domain.find("devices")
    if devices is None:
        raise SourceNotCloneable("its domain has no devices")
    _filter(devices, DEVICES, keep_pinning=keep_pinning)
    _drop_identity(domain)
    for disk in list(devices.iterfind("disk")):
        _rewrite_disk(disk, disks)
    for element in devices.iter("alias"):
        _remove(element)
    return to_text(domain)


def parse(xml: str) -> Element:
    """Without entities and network: it is libvirt's, but costs nothing."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_blank_text=True, remove_comments=True
    )
    return etree.fromstring(xml.encode(), parser)


def to_text(domain: Element) -> str:
    return etree.tostring(domain, encoding="unicode", pretty_print=True)


def disk_paths(domain: Element) -> Iterator[tuple[Element, str]]:
    """Each disk or drive that has a file or block device, with its path."""
    for disk in domain.iterfind("devices/disk"):
        source = disk.find("source")
        if source is not None:
            path = source.get("file") or source.get("dev")
            if path:
                yield disk, path


def _filter(parent: Element, table: Mapping[str, object], *, keep_pinning: bool) -> None:
    rules = DEVICES if table is DEVICES else DOMAIN
    for element in list(parent):
        name = etree.QName(element).localname
        rule = rules.get(name)
        if rule is None and rules is DEVICES:
            raise SourceNotCloneable(
                f"its domain has a device <{name}> that vmclone does not know; remove it, or "
                "clone a VM without it"
            )
        if rule is None or rule.treatment is Treatment.DROPPED:
            if rule is None:
                log.warning("an unknown element of the source is left out", extra={"element": name})
            parent.remove(element)
        elif rule.treatment is Treatment.REFUSED:
            raise SourceNotCloneable(
                f"its domain has <{name}>: {rule.why}; remove it, or clone a VM without it"
            )
        elif rule.treatment is Treatment.PINNED and not keep_pinning:
            _unpin(element)


def _unpin(element: Element) -> None:
    """cputune's shares and quotas stay; numatune is nothing but pinning."""
    for pin in list(element):
        if etree.QName(pin).localname in _PINNING or element.tag == "numatune":
            element.remove(pin)
    if len(element) == 0:
        _remove(element)


def _drop_identity(domain: Element) -> None:
    """What says which machine this is: each clone says its own."""
    domain.attrib.pop("id", "")
    for name in ("name", "uuid", "title", "metadata"):
        for element in domain.findall(name):
            domain.remove(element)
    for entry in domain.findall("sysinfo//entry"):
        if entry.get("name") in {"uuid", "serial", "asset"}:
            _remove(entry)


def _rewrite_disk(disk: Element, disks: SourceDisks) -> None:
    for name in ("alias", "mirror", "backingStore", "source/index", "encryption", "auth"):
        for element in disk.findall(name):
            _remove(element)
    device = disk.get("device", "disk")
    target = _target(disk)
    if device == "lun":
        raise SourceNotCloneable(f"disk {target} is a passed-through LUN; detach it")
    if device in {"cdrom", "floppy"}:
        _empty_drive(disk, disks)
        return
    if disk.get("type") in {"network", "vhostuser", "nvme", "vhostvdpa"}:
        raise SourceNotCloneable(
            f"disk {target} is of type {disk.get('type')}, which vmclone cannot copy; move it to "
            "a file, or leave it out"
        )
    path = _path(disk) or ""
    if path in disks.bases:
        _point_at(disk, BASE + disks.bases[path])
    elif path in disks.seeds:
        _point_at(disk, SEED)
    else:
        # A data volume that is not cloned, or one that several VMs share.
        log.info("a disk of the source is left out", extra={"disk": target})
        _remove(disk)


def _empty_drive(disk: Element, disks: SourceDisks) -> None:
    path = _path(disk)
    for source in disk.findall("source"):
        disk.remove(source)
    if path in disks.seeds:
        etree.SubElement(disk, "source").set("file", SEED)
    disk.set("type", "file")


def _point_at(disk: Element, placeholder: str) -> None:
    for source in disk.findall("source"):
        disk.remove(source)
    for name in ("serial", "wwn", "vendor", "product"):
        for element in disk.findall(name):
            disk.remove(element)
    disk.set("type", "file")
    disk.attrib.pop("snapshot", "")
    etree.SubElement(disk, "source").set("file", placeholder)


def _path(disk: Element) -> str | None:
    source = disk.find("source")
    return None if source is None else source.get("file") or source.get("dev")


def _target(disk: Element) -> str:
    target = disk.find("target")
    return "?" if target is None else target.get("dev", "?")


def _remove(element: Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)
