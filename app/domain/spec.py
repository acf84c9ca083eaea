"""What all names of one job share, once the request was judged against the inventory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from app.domain.addressing import nth_ip, nth_mac
from app.domain.disk_params import DiskWish
from app.domain.guest import GuestWish
from app.domain.machine_wish import MachineWish
from app.domain.nic_params import NicWish
from app.domain.plan import CloneMethod, CloneStrategy, VolumeType
from app.domain.system_tags import Subnet


@dataclass(frozen=True, slots=True)
class VolumeWish:
    """What was asked for the root volume, or for every data volume."""

    method: CloneMethod = CloneMethod.AUTO
    storage_uuid: str | None = None  # None: the source volume's own
    system_tags: tuple[str, ...] = ()
    size: int | None = None  # virtual; None: the source volume's
    name: str | None = None  # None: made of the VM's
    offering_uuid: str | None = None  # the disk offering that says its size


@dataclass(frozen=True, slots=True)
class VolumeChoice:
    """What was asked for one source volume alone; None: as for all of its kind."""

    uuid: str
    include: bool | None = None
    method: CloneMethod | None = None
    storage_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class CloneSpec:
    strategy: CloneStrategy = CloneStrategy.INSTANT_START
    with_data_volumes: bool = False  # ZStack's `full`
    root: VolumeWish = VolumeWish()
    data: VolumeWish = VolumeWish()
    cluster_uuid: str | None = None
    host_uuid: str | None = None
    description: str | None = None  # None: the source's
    static_ips: tuple[tuple[str, str], ...] = ()  # (L3 network, address)
    # Per CD-ROM drive the ISO's image uuid or None for an empty one; None: as the source.
    cdroms: tuple[str | None, ...] | None = None
    system_tags: tuple[str, ...] = ()
    user_tags: tuple[str, ...] = ()
    volumes: tuple[VolumeChoice, ...] = ()
    guest: GuestWish = field(default_factory=GuestWish)
    reset_tpm: bool = False
    nics: tuple[NicWish, ...] = ()  # none: as the source

    disks: tuple[DiskWish, ...] = ()  # further data disks, empty
    machine: MachineWish = field(default_factory=MachineWish)
    custom_macs: tuple[tuple[str, str], ...] = ()  # (L3 network, MAC)
    subnets: tuple[Subnet, ...] = ()
    names: int = 1  # how many the request has: as many addresses follow a NIC's first one

    def asked_ips(self, ordinals: Sequence[int]) -> Iterator[tuple[str, str]]:
        """(L3 network, address) of all that names of these numbers ask for, IPv4 and IPv6."""
        yield from self.static_ips
        for l3_uuid, first in self._first_ips():
            for number in ordinals:
                address = nth_ip(first, number)
                if address is not None:
                    yield l3_uuid, address

    @property
    def kept_ips(self) -> Iterator[tuple[str, str, int]]:
        """(L3 network, first address, how many) of all that any of its names asks for."""
        yield from ((l3_uuid, ip, 1) for l3_uuid, ip in self.static_ips)
        yield from ((l3_uuid, first, self.names) for l3_uuid, first in self._first_ips())

    def _first_ips(self) -> Iterator[tuple[str, str]]:
        for nic in self.nics:
            yield from ((nic.l3_network_uuid, ip) for ip in (nic.ip, nic.ip6) if ip)

    def asked_macs(self, ordinals: Sequence[int]) -> Iterator[str]:
        yield from (mac for _, mac in self.custom_macs)
        for nic in self.nics:
            if nic.mac is not None:
                macs = (nth_mac(nic.mac, number) for number in ordinals)
                yield from filter(None, macs)

    def subnet(self, l3_network_uuid: str) -> Subnet:
        """What tags say of it."""
        known = (s for s in self.subnets if s.l3_network_uuid == l3_network_uuid)
        return next(known, Subnet(l3_network_uuid))

    def includes(self, volume_type: VolumeType, volume_uuid: str) -> bool:
        """The root volume always; data volumes with `full`, or as chosen one by one."""
        choice = self._choice(volume_uuid)
        if volume_type is VolumeType.ROOT:
            return True
        return self.with_data_volumes if choice.include is None else choice.include

    @property
    def needs_data_volumes(self) -> bool:
        return self.with_data_volumes or any(choice.include for choice in self.volumes)

    def wish(self, volume_type: VolumeType, volume_uuid: str) -> VolumeWish:
        kind = self.root if volume_type is VolumeType.ROOT else self.data
        choice = self._choice(volume_uuid)
        return replace(
            kind,
            method=choice.method or kind.method,
            storage_uuid=choice.storage_uuid or kind.storage_uuid,
        )

    def _choice(self, volume_uuid: str) -> VolumeChoice:
        return next((c for c in self.volumes if c.uuid == volume_uuid), VolumeChoice(volume_uuid))
