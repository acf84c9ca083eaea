"""Sources to clone, and what a clone of them is told. The files in domains/ are domains as libvirt
9.0 writes them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lxml import etree
from lxml.etree import _Element

from app.domain.plan import BackingFile, VolumeFormat
from workers.hypervisors.kvm.clone_parts import (
    CloneParts,
    DomainType,
    NicKind,
    NicPart,
    VolumePart,
)
from workers.hypervisors.kvm.domain_xml import build

FOLDER = Path(__file__).parent / "domains"
NAMES = {
    "qemu": "http://libvirt.org/schemas/domain/qemu/1.0",
    "vmclone": "https://vmclone/domain/1",
}
GIB = 1 << 30

VM = "5e0c1a2b3c4d4e5f8a9b0c1d2e3f4a5b"
DASHED = "5e0c1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
ROOT = VolumePart("1" * 32, "vda", "/clones/root.qcow2", VolumeFormat.QCOW2)
DATA = VolumePart("2" * 32, "vdb", "/clones/data.qcow2", VolumeFormat.QCOW2)
LINKED = replace(ROOT, backing=(BackingFile("/bases/root.raw", VolumeFormat.RAW),))
NIC = NicPart("fa:00:00:00:00:01", NicKind.BRIDGE, "br-clones", "vnic1.0")
PARTS = CloneParts(
    vm_uuid=VM,
    title="web-001",
    job_uuid="a" * 32,
    item_uuid="b" * 32,
    domain_type=DomainType.KVM,
    vcpu=2,
    memory=GIB,
    volumes=(ROOT,),
    nics=(NIC,),
)

_PLAIN = {
    "name": "<name>golden</name>",
    "uuid": "<uuid>3a5d2c9e-7b1f-4a60-9d2e-5c8f0b1a2d3e</uuid>",
    "memory": "<memory unit='KiB'>1048576</memory>",
    "vcpu": "<vcpu>2</vcpu>",
    "os": "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>",
}
_ROOT_DISK = """
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/images/golden.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>"""


def shape(name: str) -> str:
    return (FOLDER / f"{name}.xml").read_text()


def domain(inner: str = "", devices: str = "", attributes: str = "type='kvm'") -> str:
    """A plain domain with a root disk vda, and what a test is about."""
    xmlns = f"xmlns:qemu='{NAMES['qemu']}'"
    own = {element.tag for element in etree.fromstring(f"<x {xmlns}>{inner}</x>")}
    plain = "".join(xml for tag, xml in _PLAIN.items() if tag not in own)
    return (
        f"<domain {xmlns} {attributes}>{plain}{inner}"
        f"<devices>{_ROOT_DISK}{devices}</devices></domain>"
    )


def clone_of(xml: str, live: str | None = None, **changed: Any) -> _Element:
    return etree.fromstring(build(xml, replace(PARTS, **changed), live).xml)


def found(element: _Element, path: str) -> list[str]:
    """Texts and attributes at an XPath, elements as their text."""
    result = element.xpath(path, namespaces=NAMES)
    assert isinstance(result, list)
    return [(item.text or "") if isinstance(item, etree._Element) else str(item) for item in result]
