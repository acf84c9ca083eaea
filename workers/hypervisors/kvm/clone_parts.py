"""What a clone has of its own, as its domain is told: everything that is not the source's.

Sizes are bytes, rates are bits a second, uuids are 32 hexadecimal digits.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.machine_wish import MachineWish
from app.domain.plan import BackingFile, VolumeFormat


class DomainType(StrEnum):
    KVM = "kvm"
    QEMU = "qemu"  # emulated: the host has no hardware virtualisation


class NicKind(StrEnum):
    BRIDGE = "bridge"  # of the host
    NETWORK = "network"  # of libvirt


class TpmState(StrEnum):
    NONE = "none"  # the clone has no TPM
    FRESH = "fresh"  # an empty one
    COPIED = "copied"  # the source's state was put where libvirt looks for the clone's


@dataclass(frozen=True, slots=True)
class VolumePart:
    """One cloned volume; a source's disk that no part replaces is left out."""

    uuid: str
    # The target dev of the disk that it replaces, such as vda; None: a further disk.
    source_target: str | None
    path: str
    format: VolumeFormat
    backing: tuple[BackingFile, ...] = ()  # below it, nearest first; none for a whole file


@dataclass(frozen=True, slots=True)
class SeedPart:
    """The image that tells the guest who it is."""

    path: str
    replaces: str | None = None  # the target dev of the source's own seed, drive or disk


@dataclass(frozen=True, slots=True)
class NicPart:
    """One NIC. The first takes the slot of the source's first interface, and so on."""

    mac: str
    kind: NicKind
    source: str  # the name of the bridge or network
    tap: str
    model: str | None = None  # None: the source's
    link_up: bool = True
    inbound: int | None = None  # None: no limit
    outbound: int | None = None
    ips: tuple[str, ...] = ()  # what a filter lets it send from
    queues: int | None = None  # None: the source's
    clean_traffic: bool = False  # instead of the source's filter


@dataclass(frozen=True, slots=True)
class CloneParts:
    vm_uuid: str  # the domain's name, and dashed its uuid
    title: str  # the VM's name
    job_uuid: str
    item_uuid: str
    domain_type: DomainType
    vcpu: int
    memory: int
    volumes: tuple[VolumePart, ...]
    cdroms: tuple[str | None, ...] = ()  # the image in each drive; None: an empty drive
    seed: SeedPart | None = None
    nics: tuple[NicPart, ...] = ()
    nvram_path: str | None = None  # None: libvirt makes one from the firmware's template
    tpm: TpmState = TpmState.NONE
    keep_cpu_pinning: bool = False
    log_folder: str | None = None  # for the consoles that the source logs; None: no logs
    wish: MachineWish = field(default_factory=MachineWish)
    description: str | None = None
