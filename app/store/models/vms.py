"""VM instances and what belongs to them."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from app.domain.plan import CloneMethod, HypervisorType, VolumeFormat, VolumeType
from app.store.models.columns import (
    Moment,
    bytes_count,
    enum_of,
    json_value,
    loose_uuid,
    moment,
    reference,
    uuid_key,
)


class VmState(StrEnum):
    """ZStack's states and spelling."""

    CREATED = "Created"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    REBOOTING = "Rebooting"
    DESTROYING = "Destroying"
    DESTROYED = "Destroyed"
    MIGRATING = "Migrating"
    EXPUNGING = "Expunging"
    PAUSING = "Pausing"
    PAUSED = "Paused"
    RESUMING = "Resuming"
    VOLUME_MIGRATING = "VolumeMigrating"
    VOLUME_RECOVERING = "VolumeRecovering"
    ERROR = "Error"
    NO_STATE = "NoState"
    UNKNOWN = "Unknown"
    CRASHED = "Crashed"


class Origin(StrEnum):
    ADOPTED = "adopted"  # not made by vmclone: never destroyed, never altered
    CLONED = "cloned"


class VolumeStatus(StrEnum):
    CREATING = "Creating"
    READY = "Ready"
    NOT_INSTANTIATED = "NotInstantiated"
    DELETED = "Deleted"


class NicState(StrEnum):
    ENABLE = "enable"
    DISABLE = "disable"


class TagKind(StrEnum):
    SYSTEM = "System"
    USER = "User"


class VmInstance(SQLModel, table=True):
    __tablename__ = "vm_instances"
    __table_args__ = (
        Index("vm_instances_host", "host_uuid"),
        Index("vm_instances_name", "name"),
        Index("vm_instances_account", "account_uuid", "created_at"),
        Index("vm_instances_created", "created_at", "uuid"),
        Index(
            "vm_instances_destroyed",
            "destroyed_at",
            # Not by state: each of a VM's moves would then write all of its index entries anew.
            postgresql_where=text("destroyed_at IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    uuid: str = uuid_key()
    # ZStack's internalId: a small number that names the tap (vnic<internalId>.<deviceId>).
    internal_id: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_args=[Identity()], unique=True, nullable=False
    )
    name: str = Field(max_length=255)
    description: str | None = Field(default=None, max_length=2048)
    account_uuid: str = reference("accounts.uuid")
    zone_uuid: str | None = reference("zones.uuid", nullable=True)
    cluster_uuid: str | None = reference("clusters.uuid", nullable=True)
    host_uuid: str | None = reference("hosts.uuid", nullable=True)
    last_host_uuid: str | None = reference("hosts.uuid", nullable=True)
    image_uuid: str | None = loose_uuid()
    instance_offering_uuid: str | None = loose_uuid()
    root_volume_uuid: str | None = loose_uuid()
    default_l3_network_uuid: str | None = loose_uuid()
    platform: str = "Linux"
    architecture: str = "x86_64"
    guest_os_type: str | None = None
    type: str = "UserVm"
    hypervisor_type: HypervisorType = enum_of(HypervisorType, "hypervisor_type")
    cpu_num: int
    cpu_speed: int = 0
    memory_size: int = bytes_count()
    allocator_strategy: str | None = None
    state: VmState = enum_of(VmState, "vm_state")
    origin: Origin = enum_of(Origin, "origin")
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)
    destroyed_at: Moment = moment()


class Volume(SQLModel, table=True):
    __tablename__ = "volumes"
    __table_args__ = (
        UniqueConstraint("install_path", name="volumes_install_path"),
        Index("volumes_vm", "vm_instance_uuid", "device_id"),
        Index("volumes_created", "created_at", "uuid"),
        Index("volumes_base", "base_uuid", postgresql_where=text("base_uuid IS NOT NULL")),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    uuid: str = uuid_key()
    name: str
    description: str | None = None
    account_uuid: str = reference("accounts.uuid")
    vm_instance_uuid: str | None = reference("vm_instances.uuid", nullable=True)
    primary_storage_uuid: str = reference("primary_storages.uuid")
    disk_offering_uuid: str | None = loose_uuid()
    root_image_uuid: str | None = loose_uuid()
    install_path: str | None = None
    type: VolumeType = enum_of(VolumeType, "volume_type")
    format: VolumeFormat = enum_of(VolumeFormat, "volume_format")
    size: int = bytes_count()
    actual_size: int | None = bytes_count(default=None, nullable=True)
    device_id: int = 0
    state: str = "Enabled"
    status: VolumeStatus = enum_of(VolumeStatus, "volume_status")
    is_shareable: bool = False
    origin: Origin = enum_of(Origin, "origin")
    method: CloneMethod | None = enum_of(CloneMethod, "clone_method", nullable=True)
    # The base this volume is being copied from or, linked, stands on for as long as it lives.
    base_uuid: str | None = reference("bases.uuid", nullable=True)
    # Adopted only: the files below install_path, nearest first, as [{"path", "format"}].
    backing: list[dict[str, Any]] | None = json_value()
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class VmNic(SQLModel, table=True):
    """The unique MAC is its own reservation."""

    __tablename__ = "vm_nics"
    __table_args__ = (
        UniqueConstraint("mac", name="vm_nics_mac"),
        Index("vm_nics_vm", "vm_instance_uuid", "device_id"),
        Index("vm_nics_created", "created_at", "uuid"),
    )

    uuid: str = uuid_key()
    vm_instance_uuid: str = reference("vm_instances.uuid", ondelete="CASCADE")
    l3_network_uuid: str = reference("l3_networks.uuid")
    mac: str = Field(max_length=17)
    internal_name: str
    device_id: int
    driver_type: str = "virtio"
    type: str = "VNIC"
    state: NicState = enum_of(NicState, "nic_state", default=NicState.ENABLE)
    meta_data: str | None = None
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class VmCdRom(SQLModel, table=True):
    __tablename__ = "vm_cdroms"
    __table_args__ = (UniqueConstraint("vm_instance_uuid", "device_id", name="vm_cdroms_device"),)

    uuid: str = uuid_key()
    vm_instance_uuid: str = reference("vm_instances.uuid", ondelete="CASCADE")
    device_id: int
    name: str
    description: str | None = None
    iso_uuid: str | None = loose_uuid()
    iso_install_path: str | None = None
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class Tag(SQLModel, table=True):
    __tablename__ = "tags"
    __table_args__ = (
        UniqueConstraint("resource_uuid", "kind", "tag", name="tags_unique"),
        # By hash: tags are longer than a B-tree's entries may be.
        Index("tags_tag", "tag", postgresql_using="hash"),
    )

    uuid: str = uuid_key()
    resource_uuid: str = loose_uuid(nullable=False)
    resource_type: str  # VmInstanceVO or VolumeVO
    kind: TagKind = enum_of(TagKind, "tag_kind")
    tag: str
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)
