"""A host as values: all of it that an inventory could declare."""

from collections.abc import Mapping
from dataclasses import dataclass

from lxml.etree import _Element

from workers.hypervisors.kvm.source_domain import SourceDomain

Macs = Mapping[str, tuple[str, ...]]  # IPv4 addresses by MAC, the surest first


@dataclass(frozen=True, slots=True)
class DomainView:
    source: SourceDomain
    paths: Mapping[str, str]  # by target dev, of the disks that have a file or device
    boot_order: Mapping[str, int]  # by target dev, of the disks that have one
    addresses: Macs


@dataclass(frozen=True, slots=True)
class NetworkView:
    name: str
    xml: _Element
    active: bool
    leases: Macs


@dataclass(frozen=True, slots=True)
class HostAddress:
    device: str
    ip: str
    prefix: int


@dataclass(frozen=True, slots=True)
class HostView:
    uri: str  # of its libvirt
    name: str
    cpu_num: int
    memory_bytes: int
    domains: tuple[DomainView, ...]  # sorted by name, as networks and pools are
    networks: tuple[NetworkView, ...]
    pools: tuple[str, ...]  # the folders of the pools that are folders
    addresses: tuple[HostAddress, ...]
    gateways: Mapping[str, str]  # of the default routes, by device
    nameservers: tuple[str, ...]  # that others can ask as well
