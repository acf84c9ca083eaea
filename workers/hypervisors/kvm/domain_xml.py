"""A clone's domain: what the table keeps of its source's, with what is the clone's own.

No libvirt and no files. What becomes of which element is in domain_rows.py and device_rows.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lxml.etree import _Element

from workers.hypervisors.kvm.clone_parts import CloneParts, TpmState
from workers.hypervisors.kvm.device_xml import Devices, context_id, entropy
from workers.hypervisors.kvm.disk_xml import Media, media_of
from workers.hypervisors.kvm.element_table import When
from workers.hypervisors.kvm.element_walk import Keeper, Rewriter, refuse, survey, to_text
from workers.hypervisors.kvm.machine_xml import Machine
from workers.hypervisors.kvm.nic_xml import Nics
from workers.hypervisors.kvm.source_xml import memory_kib, memory_of, merged, vcpus_of
from workers.hypervisors.kvm.wish_xml import fulfil


@dataclass(frozen=True, slots=True)
class ClonedDomain:
    xml: str
    notes: tuple[str, ...]  # what the source has and the clone lacks, one sentence each


def build(inactive_xml: str, parts: CloneParts, live_xml: str | None = None) -> ClonedDomain:
    """`live_xml` is the source's where it ran when its volumes were copied.

    Raises SourceNotCloneable where the source has what no clone can have, or lacks a disk.
    """
    source = merged(inactive_xml, live_xml)
    holds = _holds(source, parts)
    findings = survey(source, holds)
    refuse(findings)
    notes = [f"left out: {finding}" for finding in findings]
    machine, media = Machine(source, parts, holds), media_of(source, parts)
    nics, devices = Nics(parts.nics), Devices(parts, notes)
    clone = Keeper(holds, _rewriters(machine, media, nics, devices)).domain(source)
    media.add_new_drives(clone)
    nics.add_new(clone, len(source.findall("devices/interface")))
    fulfil(clone, parts.wish)
    machine.identify(clone)
    return ClonedDomain(to_text(clone), tuple(notes))


def _holds(source: _Element, parts: CloneParts) -> frozenset[When]:
    answers = {
        When.PINNING: parts.keep_cpu_pinning,
        When.SAME_VCPUS: parts.vcpu == vcpus_of(source)[0],
        When.SAME_MEMORY: memory_kib(parts.memory) == memory_kib(memory_of(source)),
        When.TPM_COPIED: parts.tpm is TpmState.COPIED,
    }
    return frozenset(when for when, holds in answers.items() if holds)


def _rewriters(
    machine: Machine, media: Media, nics: Nics, devices: Devices
) -> Mapping[str, Rewriter]:
    """By the path of the element; each answers for what the table rewrites within it as well."""
    return {
        "genid": machine.genid,
        "memory": machine.memory,
        "currentMemory": machine.balloon,
        "vcpu": machine.vcpu,
        "cpu": machine.cpu,
        "os": machine.system,
        "os/nvram": machine.nvram,
        "sysinfo/system/entry": machine.sysinfo_entry,
        "sysinfo/baseBoard/entry": machine.sysinfo_entry,
        "sysinfo/chassis/entry": machine.sysinfo_entry,
        "devices/disk": media.rewrite,
        "devices/interface": nics.rewrite,
        "devices/serial": devices.character_device,
        "devices/parallel": devices.character_device,
        "devices/console": devices.character_device,
        "devices/channel": devices.character_device,
        "devices/graphics": devices.graphics,
        "devices/audio": devices.audio,
        "devices/tpm": devices.tpm,
        "devices/rng/backend": entropy,
        "devices/vsock/cid": context_id,
    }
