"""What one item is to become: everything its worker needs, fixed by the grant.

The scheduler writes a `ClonePlan` beside the item in the transaction that reserves all it names,
and nothing in it changes afterwards, so a worker needs no second look at the inventory and every
retry leads to the same uuids, files and addresses. Sizes are bytes.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.guest import GuestIdentity
from app.domain.machine_wish import MachineWish
from app.domain.steps import StepName, steps_of


class StorageType(StrEnum):
    LOCAL = "LocalStorage"  # a folder of one host
    SHARED_MOUNT_POINT = "SharedMountPoint"  # one folder that several hosts see
    SIMULATOR = "Simulator"


class HypervisorType(StrEnum):
    KVM = "KVM"
    SIMULATOR = "Simulator"


class VolumeType(StrEnum):
    ROOT = "Root"
    DATA = "Data"


class VolumeFormat(StrEnum):
    QCOW2 = "qcow2"
    RAW = "raw"


class CloneMethod(StrEnum):
    AUTO = "auto"  # the cheapest that the target can do: reflink, else linked
    REFLINK = "reflink"
    LINKED = "linked"
    FULL = "full"


class CloneStrategy(StrEnum):
    INSTANT_START = "InstantStart"
    CREATE_STOPPED = "CreateStopped"
    JUST_CREATE = "JustCreate"


@dataclass(frozen=True, slots=True)
class StorageRef:
    uuid: str
    type: StorageType
    url: str  # the storage's root folder


@dataclass(frozen=True, slots=True)
class SourceVolume:
    """A source volume's file as the inventory or the hypervisor declares it, never as probed."""

    uuid: str
    storage: StorageRef
    path: str  # absolute; an adopted file may lie outside the storage's url
    format: VolumeFormat
    # The declared files below it, nearest first, down to the one that stands on nothing.
    backing: tuple["BackingFile", ...] = ()
    # A snapshot holds it still: how long ago it was written says nothing about what comes next.
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class RunningDomain:
    """A domain that somebody else runs on a host, and what it takes there."""

    uuid: str
    name: str
    cpu: int
    memory: int  # bytes


@dataclass(frozen=True, slots=True)
class SourceRef:
    """A VM to be cloned, as the inventory knows it."""

    uuid: str
    name: str
    architecture: str
    cpu_num: int
    memory_size: int
    nics: tuple[str, ...]  # their driver types
    cdroms: int
    volumes: tuple[SourceVolume, ...]  # root first, those that are its alone


@dataclass(frozen=True, slots=True)
class BackingFile:
    path: str
    format: VolumeFormat


@dataclass(frozen=True, slots=True)
class BaseFile:
    """An immutable copy of one source volume at one moment."""

    uuid: str
    storage: StorageRef
    path: str
    format: VolumeFormat
    virtual_size: int
    source_target: str | None = None  # KVM: the target dev of the disk that it is a copy of


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """A published volume, as much of it as removing it takes."""

    uuid: str
    storage: StorageRef
    path: str


@dataclass(frozen=True, slots=True)
class VolumePlan:
    uuid: str
    type: VolumeType
    device_id: int  # 0 is the root volume
    storage: StorageRef
    path: str  # where the published file will be, below storage.url
    format: VolumeFormat
    size: int  # virtual
    method: CloneMethod  # never AUTO where the grant could already tell
    base: BaseFile | None  # None: a new, empty disk
    fallback: bool = False  # the method was chosen for it: another one may serve as well


@dataclass(frozen=True, slots=True)
class NicPlan:
    uuid: str
    device_id: int
    mac: str
    internal_name: str  # the tap's name
    l3_network_uuid: str
    bridge: str | None  # on the host; one of these two on KVM
    driver_type: str
    ip: str | None
    netmask: str | None
    gateway: str | None
    libvirt_network: str | None = None
    dns: tuple[str, ...] = ()
    model: str | None = None  # what the request asked for; None: as the source's domain has it
    link_up: bool = True
    inbound: int | None = None  # bits a second; None: no limit
    outbound: int | None = None
    is_default: bool = False  # the guest's default gateway is behind it
    ip6: str | None = None
    prefix6: int | None = None
    gateway6: str | None = None
    queues: int | None = None
    meta_data: str | None = None

    @property
    def ips(self) -> tuple[str, ...]:
        """Its addresses, IPv4 first."""
        return tuple(filter(None, (self.ip, self.ip6)))


@dataclass(frozen=True, slots=True)
class CdRomPlan:
    uuid: str
    device_id: int
    iso_uuid: str | None
    iso_path: str | None


@dataclass(frozen=True, slots=True)
class TagPlan:
    uuid: str
    resource_uuid: str
    resource_type: str  # VmInstanceVO or VolumeVO
    kind: str  # System or User
    tag: str


@dataclass(frozen=True, slots=True)
class HostRef:
    uuid: str
    name: str
    hypervisor_type: HypervisorType
    libvirt_uri: str | None = None  # KVM; None: the system instance


@dataclass(frozen=True, slots=True)
class ClonePlan:
    vm_uuid: str
    vm_name: str
    host: HostRef
    cpu_num: int
    memory_size: int
    platform: str
    architecture: str
    strategy: CloneStrategy
    volumes: tuple[VolumePlan, ...]  # the root volume first, then by device id
    nics: tuple[NicPlan, ...] = ()
    cdroms: tuple[CdRomPlan, ...] = ()
    tags: tuple[TagPlan, ...] = ()
    base_set_uuid: str | None = None  # whose domain the clone's is made from
    job_uuid: str = ""
    item_uuid: str = ""
    identity: GuestIdentity | None = None  # None: the guest is not told who it is
    seed_path: str | None = None  # of the image that tells it, below the root volume's storage
    reset_tpm: bool = False  # a TPM that the source has is empty in the clone
    machine: MachineWish = field(default_factory=MachineWish)
    description: str | None = None  # that the request gave the clones

    @property
    def root_volume(self) -> VolumePlan:
        return self.volumes[0]

    @property
    def data_volumes(self) -> tuple[VolumePlan, ...]:
        return self.volumes[1:]

    @property
    def steps(self) -> tuple[StepName, ...]:
        return steps_of(
            data_volumes=bool(self.data_volumes),
            customize=bool(self.cdroms or self.tags or self.identity),
            start=self.strategy is CloneStrategy.INSTANT_START,
        )
