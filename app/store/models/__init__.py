"""The tables. PostgreSQL only; migrations/ brings a database to exactly these."""

from sqlmodel import SQLModel

from app.domain.job_kind import REMOVALS, JobKind
from app.store.models.bases import Base, BaseSet
from app.store.models.engine import Event, Item, Reservation, ReservationKind, Step, SweeperPass
from app.store.models.identity import Account, AccountType, Session
from app.store.models.inventory import (
    Cluster,
    ClusterL3Network,
    ClusterPrimaryStorage,
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
from app.store.models.jobs import (
    IdempotencyKey,
    Job,
    JobCounters,
    JobResult,
    LongJob,
    Webhook,
)
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
    "REMOVALS",
    "Account",
    "AccountType",
    "Base",
    "BaseSet",
    "Cluster",
    "ClusterL3Network",
    "ClusterPrimaryStorage",
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
    "LongJob",
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
