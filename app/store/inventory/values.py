"""What an inventory consists of, as values whose references are the values themselves.

The document's reader makes them, `known` makes them from the database, and `write` stores them.
Sizes are bytes, addresses numbers, MACs lower case with colons.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, ip_network

from app.domain.addressing import AddressRange, prefix_of
from app.domain.plan import BackingFile, HypervisorType, StorageType, VolumeFormat, VolumeType
from app.store.models import IpAllocator, VmState


class Kind(StrEnum):
    """The words that operators use on the command line."""

    ZONE = "zone"
    CLUSTER = "cluster"
    HOST = "host"
    STORAGE = "storage"
    NETWORK = "network"
    IMAGE = "image"
    OFFERING = "offering"
    DISK_OFFERING = "diskOffering"
    VM = "vm"


@dataclass(frozen=True, slots=True)
class Zone:
    uuid: str
    name: str
    description: str | None


@dataclass(frozen=True, slots=True)
class Cluster:
    uuid: str
    name: str
    description: str | None
    zone: Zone
    hypervisor_type: HypervisorType


@dataclass(frozen=True, slots=True)
class Host:
    uuid: str
    name: str
    description: str | None
    cluster: Cluster
    management_ip: str
    libvirt_uri: str | None
    cpu_num: int
    memory_size: int
    slots: int | None


@dataclass(frozen=True, slots=True)
class Storage:
    uuid: str
    name: str
    description: str | None
    type: StorageType
    url: str
    clusters: tuple[Cluster, ...]  # at least one, all of one zone
    host: Host | None  # LocalStorage: its one host
    declared_bytes: int | None

    @property
    def zone(self) -> Zone:
        return self.clusters[0].zone


@dataclass(frozen=True, slots=True)
class Network:
    uuid: str
    name: str
    description: str | None
    zone: Zone
    bridge: str | None
    libvirt_network: str | None
    dns: tuple[str, ...]
    ip_allocator: IpAllocator
    clusters: tuple[Cluster, ...]
    ranges: tuple[AddressRange, ...]  # of both families

    @property
    def ranges4(self) -> tuple[AddressRange, ...]:
        """Those of IPv4: adopted VMs are known by such addresses alone."""
        return tuple(r for r in self.ranges if r.version == 4)


@dataclass(frozen=True, slots=True)
class DiskOffering:
    uuid: str
    name: str
    description: str | None
    disk_size: int


@dataclass(frozen=True, slots=True)
class Image:
    """What volumes were made from, by name; vmclone holds no file of it."""

    uuid: str
    name: str
    description: str | None
    platform: str
    architecture: str
    format: VolumeFormat
    size: int  # virtual


@dataclass(frozen=True, slots=True)
class Offering:
    uuid: str
    name: str
    description: str | None
    cpu_num: int
    cpu_speed: int  # MHz; 0: not said
    memory_size: int
    allocator_strategy: str | None


@dataclass(frozen=True, slots=True)
class DeclaredVolume:
    uuid: str
    name: str
    type: VolumeType
    device_id: int
    storage: Storage
    path: str
    format: VolumeFormat
    size: int  # virtual; 0: nobody has looked yet
    backing: tuple[BackingFile, ...]  # nearest first


@dataclass(frozen=True, slots=True)
class DeclaredNic:
    uuid: str
    device_id: int
    network: Network
    ip: int | None  # None: keep the one it has, else take a free one
    mac: str | None  # None: keep the one it has, else mint one
    driver_type: str


@dataclass(frozen=True, slots=True)
class DeclaredVm:
    uuid: str
    name: str
    description: str | None
    cluster: Cluster
    host: Host
    state: VmState
    cpu_num: int
    memory_size: int
    platform: str
    architecture: str
    guest_os_type: str | None
    allocator_strategy: str | None
    default_network: Network | None
    volumes: tuple[DeclaredVolume, ...]  # the root volume first
    nics: tuple[DeclaredNic, ...]
    cdroms: tuple[str | None, ...]  # per drive the ISO's path, None for an empty one
    system_tags: tuple[str, ...]
    user_tags: tuple[str, ...]
    image: Image | None = None
    offering: Offering | None = None


@dataclass(slots=True)
class Inventory:
    """By name, in the order in which they were declared."""

    zones: dict[str, Zone] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    offerings: dict[str, Offering] = field(default_factory=dict)
    disk_offerings: dict[str, DiskOffering] = field(default_factory=dict)
    vms: dict[str, DeclaredVm] = field(default_factory=dict)

    def entries(self) -> Iterator[tuple[Kind, str, str]]:
        """(kind, name, uuid) of each."""
        sections = (
            (Kind.ZONE, self.zones),
            (Kind.CLUSTER, self.clusters),
            (Kind.HOST, self.hosts),
            (Kind.STORAGE, self.storages),
            (Kind.NETWORK, self.networks),
            (Kind.IMAGE, self.images),
            (Kind.OFFERING, self.offerings),
            (Kind.DISK_OFFERING, self.disk_offerings),
            (Kind.VM, self.vms),
        )
        for kind, section in sections:
            for name, entry in section.items():
                yield kind, name, entry.uuid


def subnet(address_range: AddressRange) -> IPv4Network:
    """Of a range of IPv4."""
    return IPv4Network((address_range.start, address_range.netmask), strict=False)


def cidr(address_range: AddressRange) -> str:
    """The subnet of either family."""
    prefix = prefix_of(address_range.netmask)
    return str(ip_network(f"{address_range.first_ip}/{prefix}", strict=False))
