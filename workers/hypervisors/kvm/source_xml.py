"""Reads a source's domain from the XML that libvirt gives: the inactive one, because it is what
the source starts with, and the disks of the live one, because those have the data.
"""

import math
from collections.abc import Iterator
from copy import deepcopy

from lxml.etree import _Element

from workers.hypervisors.kvm.element_table import When
from workers.hypervisors.kvm.element_walk import parse, survey, target_of, to_text
from workers.hypervisors.kvm.source_domain import (
    BackingLayer,
    OwnMetadata,
    SourceDisk,
    SourceDomain,
    SourceNic,
    SourceTpm,
)

METADATA_NAMESPACE = "https://vmclone/domain/1"
BITS = 8000  # of a kilobyte: libvirt's unit of rates, which it hands to tc as such; tc(8)

_UNITS = {
    **dict.fromkeys(("b", "bytes"), 1),
    "KB": 10**3,
    **dict.fromkeys(("", "k", "KiB"), 1 << 10),
    "MB": 10**6,
    **dict.fromkeys(("M", "MiB"), 1 << 20),
    "GB": 10**9,
    **dict.fromkeys(("G", "GiB"), 1 << 30),
    "TB": 10**12,
    **dict.fromkeys(("T", "TiB"), 1 << 40),
}
_SOURCE_NAMES = ("bridge", "network", "dev", "name")


def read_source(inactive_xml: str, live_xml: str | None) -> SourceDomain:
    """`live_xml` is that of a running domain. Raises SourceNotCloneable where one is no XML."""
    domain = merged(inactive_xml, live_xml)
    vcpu, max_vcpu = vcpus_of(domain)
    return SourceDomain(
        name=domain.findtext("name"),
        uuid=domain.findtext("uuid"),
        running=live_xml is not None,
        type=domain.get("type", ""),
        arch=_attribute(domain, "os/type", "arch") or "",
        machine=_attribute(domain, "os/type", "machine"),
        vcpu=vcpu,
        max_vcpu=max_vcpu,
        memory=memory_of(domain),
        cpu_mode=_attribute(domain, "cpu", "mode"),
        firmware=_attribute(domain, "os", "firmware"),
        loader=domain.findtext("os/loader"),
        nvram_path=_nvram_path(domain),
        nvram_template=_attribute(domain, "os/nvram", "template"),
        tpm=_tpm(domain),
        has_genid=domain.find("genid") is not None,
        has_vsock=domain.find("devices/vsock") is not None,
        disks=tuple(_disk(disk) for disk in domain.iterfind("devices/disk")),
        nics=tuple(_nic(nic) for nic in domain.iterfind("devices/interface")),
        own=read_own(domain.find(f"metadata/{{{METADATA_NAMESPACE}}}clone")),
        # Whether a clone's size suits is known for each clone; here it is taken to be the same.
        findings=survey(domain, frozenset(When) - {When.PINNING}),
    )


def masked(xml: str) -> str:
    """With the passwords of consoles, but not their words: the XML is stored."""
    domain = parse(xml)
    for console in domain.iterfind("devices/graphics[@passwd]"):
        console.set("passwd", "-")
    return to_text(domain)


def merged(inactive_xml: str, live_xml: str | None) -> _Element:
    """The inactive domain with the disks of the live one: what a clone's domain is built from."""
    domain = parse(inactive_xml)
    if live_xml is None:
        return domain
    live = parse(live_xml)
    devices = domain.find("devices")
    if devices is not None:
        before = {_slot_of(disk): disk for disk in devices.findall("disk")}
        place = min((devices.index(disk) for disk in before.values()), default=len(devices))
        for disk in before.values():
            devices.remove(disk)
        for number, now in enumerate(live.iterfind("devices/disk")):
            devices.insert(place + number, _addressed(deepcopy(now), before.get(_slot_of(now))))
    _take_nvram_path(domain, live)
    return domain


def _slot_of(disk: _Element) -> tuple[str, str | None]:
    return target_of(disk), _attribute(disk, "target", "bus")


def _addressed(disk: _Element, inactive: _Element | None) -> _Element:
    """With the address of the inactive domain: among its devices that one is free. libvirt finds
    one for a disk that was plugged into the running domain only."""
    for address in disk.findall("address"):
        disk.remove(address)
    if inactive is not None:
        disk.extend(inactive.findall("address"))
    return disk


def _take_nvram_path(domain: _Element, live: _Element) -> None:
    """Where the inactive domain leaves the choice to libvirt, the live one says what it chose."""
    chosen, system = live.find("os/nvram"), domain.find("os")
    if system is not None and chosen is not None and _nvram_path(domain) is None:
        for nvram in system.findall("nvram"):
            system.remove(nvram)
        system.append(deepcopy(chosen))


def read_own(clone: _Element | None) -> OwnMetadata | None:
    """None for what is not vmclone's, or no longer whole."""
    values = [clone.get(key) for key in ("vm", "item", "job")] if clone is not None else []
    if not values or None in values:
        return None
    vm_uuid, item_uuid, job_uuid = (str(value) for value in values)
    return OwnMetadata(vm_uuid, item_uuid, job_uuid)


def memory_of(domain: _Element, tag: str = "memory") -> int:
    memory = domain.find(tag)
    if memory is None:
        return 0
    return int(memory.text or "0") * _UNITS[memory.get("unit", "")]


def memory_kib(size: int) -> int:
    """As libvirt counts; rounded up."""
    return math.ceil(size / 1024)


def vcpus_of(domain: _Element) -> tuple[int, int]:
    """At its start, and at most."""
    vcpu = domain.find("vcpu")
    if vcpu is None:
        return 1, 1  # Source: libvirt, domain XML format, CPU allocation
    most = int(vcpu.text or "1")
    return int(vcpu.get("current", most)), most


def _nvram_path(domain: _Element) -> str | None:
    nvram = domain.find("os/nvram")
    if nvram is None:
        return None
    return (nvram.text or "").strip() or _path(nvram.find("source"))


def _tpm(domain: _Element) -> SourceTpm | None:
    tpm = domain.find("devices/tpm")
    backend = None if tpm is None else tpm.find("backend")
    if tpm is None or backend is None:
        return None
    return SourceTpm(
        backend=backend.get("type", ""),
        model=tpm.get("model"),
        version=backend.get("version"),
        persistent=backend.get("persistent_state") == "yes",
        place=_attribute(backend, "source", "path"),
    )


def _disk(disk: _Element) -> SourceDisk:
    source = disk.find("source")
    return SourceDisk(
        target=target_of(disk),
        bus=_attribute(disk, "target", "bus"),
        device=disk.get("device", "disk"),
        type=disk.get("type", "file"),
        path=_path(source),
        pool=None if source is None else source.get("pool"),
        volume=None if source is None else source.get("volume"),
        format=_attribute(disk, "driver", "type"),
        backing=None if disk.find("backingStore") is None else tuple(_layers(disk)),
        readonly=disk.find("readonly") is not None,
        shareable=disk.find("shareable") is not None,
        transient=disk.find("transient") is not None,
    )


def _layers(disk: _Element) -> Iterator[BackingLayer]:
    """An empty <backingStore/> ends the chain."""
    store = disk.find("backingStore")
    while store is not None and len(store):
        yield BackingLayer(
            type=store.get("type", "file"),
            path=_path(store.find("source")),
            format=_attribute(store, "format", "type"),
        )
        store = store.find("backingStore")


def _path(source: _Element | None) -> str | None:
    return None if source is None else source.get("file") or source.get("dev")


def _nic(nic: _Element) -> SourceNic:
    return SourceNic(
        mac=_attribute(nic, "mac", "address"),
        model=_attribute(nic, "model", "type"),
        type=nic.get("type", ""),
        source=network_of(nic),
        link_up=_attribute(nic, "link", "state") != "down",
        inbound=_rate(nic, "inbound"),
        outbound=_rate(nic, "outbound"),
    )


def network_of(nic: _Element) -> str | None:
    source = nic.find("source")
    if source is None:
        return None
    return next((source.get(name) for name in _SOURCE_NAMES if source.get(name)), None)


def _rate(nic: _Element, direction: str) -> int | None:
    average = _attribute(nic, f"bandwidth/{direction}", "average")
    return None if average is None else int(average) * BITS


def _attribute(parent: _Element, path: str, name: str) -> str | None:
    element = parent.find(path)
    return None if element is None else element.get(name)
