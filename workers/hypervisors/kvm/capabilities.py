"""What a host can run, in the words in which a source says what it needs.

Source: libvirt, driver capabilities and domain capabilities XML formats.
"""

from collections.abc import Iterator

import libvirt
from lxml import etree

from app.domain.machine_wish import uefi_need
from workers.hypervisors.kvm.source_domain import SourceDomain


def needs_of(source: SourceDomain) -> tuple[str, ...]:
    """What a host without it would refuse only when a clone is defined or started."""
    needs = [_machine(source.arch, source.machine)] if source.machine else []
    if source.firmware == "efi":
        needs.append(uefi_need(source.arch))
    return tuple(needs)


def runs_of(libvirtd: libvirt.virConnect) -> frozenset[str]:
    return frozenset(_runs(libvirtd))


def _runs(libvirtd: libvirt.virConnect) -> Iterator[str]:
    capabilities = etree.fromstring(libvirtd.getCapabilities().encode())
    for arch in capabilities.iterfind("guest/arch"):
        name = arch.get("name", "")
        for machine in arch.iter("machine"):
            for known_as in (machine.text, machine.get("canonical")):
                if known_as:
                    yield _machine(name, known_as)
        domain = etree.fromstring(libvirtd.getDomainCapabilities(arch=name).encode())
        if "efi" in (value.text for value in domain.iterfind("os/enum[@name='firmware']/value")):
            yield uefi_need(name)


def _machine(arch: str, machine: str) -> str:
    return f"machine type {machine} of {arch}"
