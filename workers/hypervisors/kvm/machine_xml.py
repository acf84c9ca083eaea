"""What a clone's domain says of the machine itself: who it is, its size and its firmware."""

import re
from dataclasses import dataclass
from uuid import UUID

from lxml import etree
from lxml.etree import _Element

from workers.hypervisors.kvm.clone_parts import CloneParts, DomainType
from workers.hypervisors.kvm.element_table import When
from workers.hypervisors.kvm.source_xml import METADATA_NAMESPACE, memory_kib, memory_of

# Names of VMs may have characters that XML has no way to write. Source: XML 1.0, section 2.2.
_NOT_XML = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_OF_THE_HOST = frozenset({"host-passthrough", "host-model", "maximum"})


@dataclass(frozen=True, slots=True)
class Machine:
    source: _Element
    parts: CloneParts
    holds: frozenset[When]

    def identify(self, domain: _Element) -> None:
        parts = self.parts
        domain.set("type", parts.domain_type.value)
        metadata = etree.Element("metadata")
        clone = etree.SubElement(
            metadata, f"{{{METADATA_NAMESPACE}}}clone", nsmap={"vmclone": METADATA_NAMESPACE}
        )
        for key, value in (
            ("vm", parts.vm_uuid),
            ("item", parts.item_uuid),
            ("job", parts.job_uuid),
        ):
            clone.set(key, value)
        own = (
            _text("name", parts.vm_uuid),
            _text("uuid", str(UUID(parts.vm_uuid))),
            _text("title", printable(parts.title)),
            *([_text("description", printable(parts.description))] if parts.description else []),
            metadata,
        )
        for number, element in enumerate(own):
            domain.insert(number, element)

    def sysinfo_entry(self, _entry: _Element, copy: _Element) -> _Element:
        if copy.get("name") in {"uuid", "serial"}:
            copy.text = str(UUID(self.parts.vm_uuid))
        return copy

    def genid(self, _genid: _Element, copy: _Element) -> _Element:
        copy.text = None
        return copy

    def memory(self, _memory: _Element, copy: _Element) -> _Element:
        return in_kib(copy, memory_kib(self.parts.memory))

    def balloon(self, _current: _Element, copy: _Element) -> _Element | None:
        now = memory_kib(memory_of(self.source, "currentMemory"))
        if When.SAME_MEMORY not in self.holds or now > memory_kib(self.parts.memory):
            return None  # libvirt then gives the guest all of it
        return in_kib(copy, now)

    def vcpu(self, _vcpu: _Element, copy: _Element) -> _Element:
        if When.SAME_VCPUS not in self.holds:
            copy.text = str(self.parts.vcpu)
        return copy

    def cpu(self, cpu: _Element, copy: _Element) -> _Element:
        mode = cpu.get("mode")
        if mode in _OF_THE_HOST and self.parts.domain_type is DomainType.QEMU:
            return _emulated(copy)
        if mode is not None:
            copy.set("mode", mode)
        return copy

    def system(self, _system: _Element, copy: _Element) -> _Element:
        """Where libvirt chose the source's firmware, no element names its variables."""
        if self.parts.nvram_path is not None and copy.find("nvram") is None:
            copy.append(_text("nvram", self.parts.nvram_path))
        return copy

    def nvram(self, _nvram: _Element, copy: _Element) -> _Element | None:
        copy.text = self.parts.nvram_path
        named = copy.text is not None or copy.get("template") is not None
        return copy if named else None


def printable(text: str) -> str:
    """With a replacement character for each that XML has no way to write."""
    return _NOT_XML.sub("\ufffd", text)


def _text(tag: str, text: str) -> _Element:
    element = etree.Element(tag)
    element.text = text
    return element


def _emulated(cpu: _Element) -> _Element:
    """All that the emulation can do: what the host's CPU has more or less is not to be had."""
    own = etree.Element("cpu", {"mode": "maximum"})
    for element in cpu.iterchildren("topology", "numa"):
        own.append(element)
    return own


def in_kib(element: _Element, size: int) -> _Element:
    element.set("unit", "KiB")
    element.text = str(size)
    return element
