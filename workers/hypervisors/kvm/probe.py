"""A guest of a moment, which shows whether this host can run one with a given image."""

import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import libvirt
from lxml import etree

from app.domain.errors import CloneError
from app.domain.plan import HostRef
from workers.hypervisors.kvm.accelerator import domain_type
from workers.hypervisors.kvm.connection import SYSTEM_URI, Connection
from workers.storage.image_lock import is_open_for_writing


@dataclass(frozen=True, slots=True)
class Probed:
    fault: str | None = None  # why no guest starts with the image
    locked: bool = False  # while it has the image open, others can see that


def start_with(image: str, host: HostRef, home: Path) -> Probed:
    """What a paused guest shows that has the raw image as its disk. It is never defined, runs
    nothing, and goes with the connection at the latest."""
    connection = Connection(host.libvirt_uri or SYSTEM_URI)
    flags = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY
    try:
        with connection.opened(f"starting a probe with {image}") as libvirtd:
            domain = libvirtd.createXML(_xml(image, domain_type(home)), flags)
            locked = _is_locked(image)
            domain.destroy()
    except CloneError as error:
        return Probed(fault=error.details)
    finally:
        connection.close()
    return Probed(locked=locked)


def _is_locked(image: str) -> bool:
    """False also where the file system knows no such locks."""
    try:
        descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return is_open_for_writing(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        return False


def _xml(image: str, kind: str) -> str:
    domain = etree.Element("domain", {"type": kind})
    for tag, text in (("name", f"vmclone-probe-{uuid4().hex}"), ("memory", "16384")):
        etree.SubElement(domain, tag).text = text
    etree.SubElement(etree.SubElement(domain, "os"), "type").text = "hvm"
    disk = etree.SubElement(
        etree.SubElement(domain, "devices"), "disk", {"type": "file", "device": "disk"}
    )
    etree.SubElement(disk, "driver", {"name": "qemu", "type": "raw"})
    etree.SubElement(disk, "source", {"file": image})
    etree.SubElement(disk, "target", {"dev": "vda", "bus": "virtio"})
    return etree.tostring(domain, encoding="unicode")
