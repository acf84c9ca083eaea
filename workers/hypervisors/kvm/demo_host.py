"""What the demo wants to know of this host's libvirt, and what it takes away from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path, PurePath

import libvirt
from lxml.etree import _Element

from app.domain.plan import HostRef, HypervisorType
from workers.hypervisors.kvm.connection import Connection
from workers.hypervisors.kvm.driver import KvmHypervisor
from workers.hypervisors.kvm.element_walk import parse
from workers.hypervisors.kvm.faults import is_gone


@dataclass(frozen=True, slots=True)
class DemoHost:
    cpu_num: int
    memory_bytes: int
    subnets: tuple[IPv4Network, ...]  # of libvirt's networks, those that do not run included


def look(uri: str) -> DemoHost:
    """Raises InvalidArgument for another URI than the local system instance's, HostDisconnected."""
    connection = Connection(uri)
    try:
        with connection.opened("looking at the host") as libvirtd:
            _, memory_mib, cpus, *_ = libvirtd.getInfo()
            return DemoHost(cpus, memory_mib << 20, tuple(_subnets(libvirtd)))
    finally:
        connection.close()


def remove_clones(uri: str, folder: str, home: Path) -> int:
    """vmclone's domains with a disk below the folder are gone, running or not; how many there
    were. Others' are not touched. Raises HostDisconnected, OperationFailed."""
    connection = Connection(uri)
    host = HostRef("", "of the demo", HypervisorType.KVM, uri)
    hypervisor = KvmHypervisor(host, home, connection)
    try:
        ours = [domain.vm_uuid for domain in hypervisor.list_domains()]
        with connection.opened("listing domains") as libvirtd:
            below = [uuid for uuid in ours if _is_below(libvirtd, uuid, folder)]
        for uuid in below:
            hypervisor.destroy(uuid)
            hypervisor.undefine(uuid)
    finally:
        connection.close()
    return len(below)


def _is_below(libvirtd: libvirt.virConnect, name: str, folder: str) -> bool:
    try:
        domain = parse(libvirtd.lookupByName(name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    except libvirt.libvirtError as error:
        if is_gone(error):
            return False
        raise
    files = [source.get("file") for source in domain.iterfind("devices/disk/source")]
    return any(file and PurePath(file).is_relative_to(folder) for file in files)


def _subnets(libvirtd: libvirt.virConnect) -> Iterator[IPv4Network]:
    for network in libvirtd.listAllNetworks():
        try:
            found = parse(network.XMLDesc())
        except libvirt.libvirtError as error:
            if is_gone(error):
                continue
            raise
        for address in found.iterfind("ip"):
            if address.get("family", "ipv4") == "ipv4" and address.get("address"):
                yield _subnet(address)


def _subnet(ip: _Element) -> IPv4Network:
    """Source: libvirt, network XML format, addressing."""
    length = ip.get("netmask") or ip.get("prefix") or "32"
    return IPv4Network(f"{ip.get('address')}/{length}", strict=False)
