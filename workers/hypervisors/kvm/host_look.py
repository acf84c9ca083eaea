"""Reads what a host has from libvirt and the kernel. Only looks."""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import libvirt
from lxml.etree import _Element

from app.domain.errors import ToolMissing
from workers.hypervisors.kvm.connection import Connection
from workers.hypervisors.kvm.element_walk import parse, target_of
from workers.hypervisors.kvm.faults import is_disconnected, is_gone
from workers.hypervisors.kvm.host_view import (
    DomainView,
    HostAddress,
    HostView,
    Macs,
    NetworkView,
)
from workers.hypervisors.kvm.source_domain import SourceDisk
from workers.hypervisors.kvm.source_xml import read_source

_AGENT = "devices/channel/target[@name='org.qemu.guest_agent.0'][@state='connected']"
_ROUTES, _ADDRESSES = ("route", "show", "default"), ("address", "show")


def look_at_host(uri: str) -> HostView:
    """Raises InvalidArgument for another URI than the local system instance's, HostDisconnected,
    ToolMissing."""
    connection = Connection(uri)
    try:
        with connection.opened("looking at the host") as libvirtd:
            _, memory_mib, cpus, *_ = libvirtd.getInfo()
            return HostView(
                uri=uri,
                name=libvirtd.getHostname(),
                cpu_num=cpus,
                memory_bytes=memory_mib << 20,
                domains=tuple(sorted(_domains(libvirtd), key=lambda d: d.source.name or "")),
                networks=tuple(sorted(_networks(libvirtd), key=lambda n: n.name)),
                pools=tuple(sorted(_folders(libvirtd))),
                addresses=tuple(_host_addresses()),
                gateways={r["dev"]: r["gateway"] for r in _ip(*_ROUTES) if "gateway" in r},
                nameservers=tuple(_nameservers(Path("/etc/resolv.conf"))),
            )
    finally:
        connection.close()


def _domains(libvirtd: libvirt.virConnect) -> Iterator[DomainView]:
    for domain in libvirtd.listAllDomains():
        try:
            inactive = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            live = domain.XMLDesc() if domain.isActive() else None
        except libvirt.libvirtError as error:
            if is_gone(error):
                continue
            raise
        source = read_source(inactive, live)
        running = parse(live) if live else None
        yield DomainView(
            source=source,
            paths=dict(_paths(libvirtd, source.disks)),
            boot_order=dict(_boot_order(parse(inactive))),
            addresses={} if running is None else _addresses(domain, running),
        )


def _paths(
    libvirtd: libvirt.virConnect, disks: tuple[SourceDisk, ...]
) -> Iterator[tuple[str, str]]:
    for disk in disks:
        if disk.path:
            yield disk.target, disk.path
        elif disk.pool and disk.volume:
            try:
                pool = libvirtd.storagePoolLookupByName(disk.pool)
                yield disk.target, pool.storageVolLookupByName(disk.volume).path()
            except libvirt.libvirtError as error:
                if is_disconnected(error):
                    raise


def _boot_order(domain: _Element) -> Iterator[tuple[str, int]]:
    for disk in domain.iterfind("devices/disk"):
        boot = disk.find("boot")
        if boot is not None:
            yield target_of(disk), int(boot.get("order", "0"))


def _addresses(domain: libvirt.virDomain, live: _Element) -> Macs:
    sources = [libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE]
    # Not asked where it is not there: libvirt would wait for it.
    if live.find(_AGENT) is not None:
        sources.append(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
    sources.append(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP)
    found: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        try:
            interfaces = domain.interfaceAddresses(source)
        except libvirt.libvirtError as error:
            if is_disconnected(error):
                raise
            continue
        for interface in interfaces.values():
            for address in interface["addrs"] or ():
                if address["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4:
                    found[str(interface["hwaddr"]).lower()].append(address["addr"])
    return _once(found)


def _networks(libvirtd: libvirt.virConnect) -> Iterator[NetworkView]:
    for network in libvirtd.listAllNetworks():
        try:
            active = bool(network.isActive())
            leases: dict[str, list[str]] = defaultdict(list)
            for lease in network.DHCPLeases() if active else ():
                if lease["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4:
                    leases[lease["mac"].lower()].append(lease["ipaddr"])
            yield NetworkView(network.name(), parse(network.XMLDesc()), active, _once(leases))
        except libvirt.libvirtError as error:
            if not is_gone(error):
                raise


def _folders(libvirtd: libvirt.virConnect) -> Iterator[str]:
    for pool in libvirtd.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_DIR):
        folder = parse(pool.XMLDesc()).findtext("target/path")
        if folder:
            yield os.path.normpath(folder)


def _once(found: Mapping[str, list[str]]) -> Macs:
    return {mac: tuple(dict.fromkeys(addresses)) for mac, addresses in found.items()}


def _host_addresses() -> Iterator[HostAddress]:
    for device in _ip(*_ADDRESSES):
        for address in device.get("addr_info", ()):
            if address.get("scope") == "global":
                yield HostAddress(device["ifname"], address["local"], address["prefixlen"])


def _ip(*words: str) -> list[dict[str, Any]]:
    """Raises ToolMissing."""
    try:
        done = subprocess.run(["ip", "-j", "-4", *words], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise ToolMissing(
            f"`ip -j` cannot be run ({error}): install iproute2, which says what addresses and "
            "routes this host has"
        ) from error
    return list(json.loads(done.stdout or "[]"))


def _nameservers(file: Path) -> Iterator[str]:
    """Not those of this host's own loopback, which no guest reaches."""
    text = file.read_text(errors="replace") if file.exists() else ""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                address = ip_address(words[1])
            except ValueError:
                continue
            if not address.is_loopback:
                yield str(address)
