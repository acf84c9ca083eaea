"""Where clones can live: zones, clusters, hosts, primary storage and L3 networks."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from app.domain.plan import HypervisorType, StorageType
from app.store.models.columns import (
    Moment,
    bytes_count,
    enum_of,
    json_value,
    moment,
    reference,
    uuid_key,
)


class ResourceState(StrEnum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class IpAllocator(StrEnum):
    RANDOM = "RandomIpAllocatorStrategy"
    FIRST_AVAILABLE = "FirstAvailableIpAllocatorStrategy"


def _state() -> Any:
    return enum_of(ResourceState, "resource_state", default=ResourceState.ENABLED)


class Zone(SQLModel, table=True):
    __tablename__ = "zones"

    uuid: str = uuid_key()
    name: str = Field(max_length=255, unique=True)
    description: str | None = None
    state: ResourceState = _state()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class Cluster(SQLModel, table=True):
    __tablename__ = "clusters"

    uuid: str = uuid_key()
    name: str = Field(max_length=255, unique=True)
    description: str | None = None
    zone_uuid: str = reference("zones.uuid", index=True)
    hypervisor_type: HypervisorType = enum_of(HypervisorType, "hypervisor_type")
    architecture: str = "x86_64"
    state: ResourceState = _state()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class Host(SQLModel, table=True):
    """`seen_at` is the last beat of the worker that serves the host: it tells its status."""

    __tablename__ = "hosts"

    uuid: str = uuid_key()
    name: str = Field(max_length=255, unique=True)
    description: str | None = None
    cluster_uuid: str = reference("clusters.uuid", index=True)
    management_ip: str
    libvirt_uri: str | None = None
    architecture: str = "x86_64"
    cpu_num: int
    memory_size: int = bytes_count()
    state: ResourceState = _state()
    slots: int | None = None  # open items at once; None: the setting
    processes: int | None = None  # of its worker: how many clones it really makes at once
    machine_id: str | None = None  # of the one machine that may serve this host
    lock_folder: str | None = None  # of that worker, on that machine
    # What runs there and is not vmclone's, as its worker saw it last.
    foreign_cpu: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    foreign_memory: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")}
    )
    runs: list[str] | None = json_value()  # KVM: machine types and firmware; None: not asked yet
    seen_at: Moment = moment()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class HostCapacity(SQLModel, table=True):
    """A narrow row: each grant and each release moves it."""

    __tablename__ = "host_capacities"
    __table_args__ = (
        CheckConstraint("available_cpu >= 0", name="host_capacities_cpu"),
        CheckConstraint("available_memory >= 0", name="host_capacities_memory"),
        {"postgresql_with": {"fillfactor": "70"}},
    )

    host_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="hosts.uuid", ondelete="CASCADE"
    )
    total_cpu: int = bytes_count()  # over-provisioned
    available_cpu: int = bytes_count()
    total_memory: int = bytes_count()
    available_memory: int = bytes_count()


class PrimaryStorage(SQLModel, table=True):
    """The physical figures are what a worker on a host saw at `seen_at`."""

    __tablename__ = "primary_storages"

    uuid: str = uuid_key()
    name: str = Field(max_length=255, unique=True)
    description: str | None = None
    zone_uuid: str = reference("zones.uuid")
    type: StorageType = enum_of(StorageType, "storage_type")
    url: str
    host_uuid: str | None = reference("hosts.uuid", nullable=True)  # LocalStorage: its one host
    declared_bytes: int | None = bytes_count(default=None, nullable=True)
    state: ResourceState = _state()
    initialized_at: Moment = moment()  # its marker was written; a missing one is a fault from then
    seen_at: Moment = moment()
    fault: str | None = None  # why it cannot be used now, as the worker said at seen_at
    fault_since: Moment = moment()
    file_system_id: str | None = None
    reflink: bool = False
    physical_total: int | None = bytes_count(default=None, nullable=True)
    physical_free: int | None = bytes_count(default=None, nullable=True)
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class StorageCapacity(SQLModel, table=True):
    __tablename__ = "storage_capacities"
    __table_args__ = (
        CheckConstraint("available_bytes >= 0", name="storage_capacities_bytes"),
        {"postgresql_with": {"fillfactor": "70"}},
    )

    primary_storage_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="primary_storages.uuid", ondelete="CASCADE"
    )
    total_bytes: int = bytes_count()
    available_bytes: int = bytes_count()


class ClusterPrimaryStorage(SQLModel, table=True):
    __tablename__ = "cluster_primary_storages"

    cluster_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="clusters.uuid", ondelete="CASCADE"
    )
    primary_storage_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="primary_storages.uuid", ondelete="CASCADE"
    )


class L3Network(SQLModel, table=True):
    __tablename__ = "l3_networks"

    uuid: str = uuid_key()
    name: str = Field(max_length=255, unique=True)
    description: str | None = None
    zone_uuid: str = reference("zones.uuid", index=True)
    bridge: str | None = None
    libvirt_network: str | None = None  # by name, on the hosts; instead of a bridge
    dns: list[str] | None = json_value()
    ip_allocator: IpAllocator = enum_of(IpAllocator, "ip_allocator", default=IpAllocator.RANDOM)
    state: ResourceState = _state()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class ClusterL3Network(SQLModel, table=True):
    """Which clusters reach the network."""

    __tablename__ = "cluster_l3_networks"

    cluster_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="clusters.uuid", ondelete="CASCADE"
    )
    l3_network_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="l3_networks.uuid", ondelete="CASCADE"
    )


class IpRange(SQLModel, table=True):
    __tablename__ = "ip_ranges"

    uuid: str = uuid_key()
    name: str
    l3_network_uuid: str = reference("l3_networks.uuid", ondelete="CASCADE", index=True)
    ip_version: int = 4
    start_ip: str
    end_ip: str
    start_ip_in_long: int = bytes_count()
    end_ip_in_long: int = bytes_count()
    netmask: str
    gateway: str | None = None
    network_cidr: str
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class UsedIp(SQLModel, table=True):
    """An address in use: its row is the reservation."""

    __tablename__ = "used_ips"
    __table_args__ = (
        UniqueConstraint("l3_network_uuid", "ip", name="used_ips_unique"),
        Index("used_ips_in_long", "l3_network_uuid", "ip_in_long"),
        Index("used_ips_ip", "ip"),
    )

    uuid: str = uuid_key()
    ip_range_uuid: str | None = reference("ip_ranges.uuid", nullable=True)
    l3_network_uuid: str = reference("l3_networks.uuid")
    vm_nic_uuid: str | None = reference(
        "vm_nics.uuid", nullable=True, ondelete="CASCADE", index=True
    )
    ip_version: int = 4
    ip: str
    ip_in_long: int = bytes_count()
    netmask: str | None = None
    gateway: str | None = None
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class Image(SQLModel, table=True):
    __tablename__ = "images"

    uuid: str = uuid_key()
    name: str = Field(max_length=255)
    description: str | None = None
    platform: str = "Linux"
    architecture: str = "x86_64"
    format: str = "qcow2"
    size: int = bytes_count()
    state: ResourceState = _state()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class InstanceOffering(SQLModel, table=True):
    __tablename__ = "instance_offerings"

    uuid: str = uuid_key()
    name: str = Field(max_length=255)
    description: str | None = None
    cpu_num: int
    cpu_speed: int = 0
    memory_size: int = bytes_count()
    allocator_strategy: str | None = None
    state: ResourceState = _state()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class DiskOffering(SQLModel, table=True):
    __tablename__ = "disk_offerings"

    uuid: str = uuid_key()
    name: str = Field(max_length=255, unique=True)
    description: str | None = None
    disk_size: int = bytes_count()
    state: ResourceState = _state()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)
