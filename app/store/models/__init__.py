"""The tables. PostgreSQL only; migrations/ brings a database to exactly these."""

from sqlmodel import SQLModel

from app.store.models.bases import Base, BaseSet
from app.store.models.engine import Event, Item, Reservation, ReservationKind, Step, SweeperPass
from app.store.models.identity import Account, AccountType, Session
from app.store.models.inventory import (
    Cluster,
    ClusterL3Network,
    ClusterPrimaryStorage,
    DiskOffering,
    Host,
    HostCapacity,
    Image,
    InstanceOffering,
    IpAllocator,
    IpRange,
    L3Network,
    PrimaryStorage,
    ResourceState,
    StorageCapacity,
    UsedIp,
    Zone,
)
from app.store.models.jobs import IdempotencyKey, Job, JobCounters, JobKind, JobResult, Webhook
from app.store.models.limits import Limit, LimitName, LimitScope
from app.store.models.vms import (
    NicState,
    Origin,
    Tag,
    TagKind,
    VmCdRom,
    VmInstance,
    VmNic,
    VmState,
    Volume,
    VolumeStatus,
)

metadata = SQLModel.metadata

__all__ = [
    "Account",
    "AccountType",
    "Base",
    "BaseSet",
    "Cluster",
    "ClusterL3Network",
    "ClusterPrimaryStorage",
    "DiskOffering",
    "Event",
    "Host",
    "HostCapacity",
    "IdempotencyKey",
    "Image",
    "InstanceOffering",
    "IpAllocator",
    "IpRange",
    "Item",
    "Job",
    "JobCounters",
    "JobKind",
    "JobResult",
    "L3Network",
    "Limit",
    "LimitName",
    "LimitScope",
    "NicState",
    "Origin",
    "PrimaryStorage",
    "Reservation",
    "ReservationKind",
    "ResourceState",
    "Session",
    "Step",
    "StorageCapacity",
    "SweeperPass",
    "Tag",
    "TagKind",
    "UsedIp",
    "VmCdRom",
    "VmInstance",
    "VmNic",
    "VmState",
    "Volume",
    "VolumeStatus",
    "Webhook",
    "Zone",
    "metadata",
]
