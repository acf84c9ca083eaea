"""A domain as a VM of the inventory, or why it is none."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from app.domain.addressing import to_number, to_text
from app.domain.errors import CloneError
from app.domain.plan import BackingFile, VolumeFormat
from app.store.inventory.values import Network, subnet
from workers.guest.labels import is_seed
from workers.hypervisors.kvm.element_walk import refuse
from workers.hypervisors.kvm.host_view import DomainView
from workers.hypervisors.kvm.source_domain import SourceDisk, SourceNic
from workers.ops.discover.chains import chain_of
from workers.ops.inventory import scalars
from workers.ops.inventory.files import size_of

_FORMATS = frozenset(VolumeFormat)


@dataclass(frozen=True, slots=True)
class FoundVolume:
    path: str
    format: VolumeFormat
    backing: tuple[BackingFile, ...]


@dataclass(frozen=True, slots=True)
class FoundVm:
    domain: DomainView
    volumes: tuple[FoundVolume, ...]  # the root volume first
    cdroms: tuple[str | None, ...]


@dataclass(slots=True)
class Claimed:
    """What only one VM can have, whichever comes first."""

    files: set[str] = field(default_factory=set)
    macs: set[str] = field(default_factory=set)
    addresses: set[tuple[str, int]] = field(default_factory=set)  # by the network's uuid


def read_vm(domain: DomainView, claimed: Claimed) -> FoundVm:
    """Raises ValueError with the reason for a domain that cannot be cloned."""
    try:
        refuse(domain.source.findings)
    except CloneError as error:
        raise ValueError(error.details) from error
    volumes = tuple(_volumes(domain))
    if not volumes:
        raise ValueError("it has no disk that vmclone could copy")
    for volume in volumes:
        _check(volume, claimed)
    claimed.files.update(volume.path for volume in volumes)
    return FoundVm(domain, volumes, tuple(_cdroms(domain)))


def _volumes(domain: DomainView) -> Iterator[FoundVolume]:
    disks = [d for d in domain.source.disks if d.device == "disk" and not d.shareable]
    # The firmware's choice, then the guest's own order.
    disks.sort(key=lambda d: domain.boot_order.get(d.target, len(disks) + 1000))
    for disk in disks:
        path = domain.paths.get(disk.target)
        if path is None:
            raise ValueError(
                f"disk {disk.target} is volume {disk.volume} of storage pool {disk.pool}, which "
                "libvirt does not find; start the pool, or correct the domain"
            )
        volume = _volume(disk, path)
        if not is_seed(volume.path, volume.format):
            yield volume


def _volume(disk: SourceDisk, path: str) -> FoundVolume:
    read_as = disk.format or VolumeFormat.RAW  # Source: libvirt, which probes nothing
    if read_as not in _FORMATS:
        raise ValueError(
            f"disk {disk.target} is {read_as}, and vmclone reads {', '.join(sorted(_FORMATS))}"
        )
    # What a link points to could change under the declaration, so the file itself is declared.
    if os.path.islink(path):
        path = os.path.realpath(path)
    try:
        return FoundVolume(path, VolumeFormat(read_as), chain_of(disk, path))
    except ValueError as error:
        raise ValueError(f"disk {disk.target}: {error}") from error


def _check(volume: FoundVolume, claimed: Claimed) -> None:
    if volume.path in claimed.files:
        raise ValueError(f"{volume.path} is a disk of another VM as well")
    size = size_of(
        scalars.absolute_path(volume.path), volume.format, next(iter(volume.backing), None)
    )
    if size is None:
        raise ValueError(f"{volume.path} is missing, or cannot be read by this user")


def _cdroms(domain: DomainView) -> Iterator[str | None]:
    """Drives with what is in them; not the one that tells the guest who it is."""
    for disk in domain.source.disks:
        if disk.device != "cdrom":
            continue
        path = domain.paths.get(disk.target)
        if path is None or not is_seed(path):
            yield path


def address_of(
    network: Network,
    seen: Sequence[str],
    remembered: int | None,
    claimed: Claimed,
) -> str | None:
    """The NIC's own: the first of `seen` that can be, else the one it once had beside the ranges;
    None where the inventory may choose."""
    subnets = {subnet(r) for r in network.ranges4}
    gateways = {r.gateway for r in network.ranges4}
    numbers = [to_number(ip) for ip in seen if ip not in gateways]
    # One inside of the ranges is kept without being declared, and may be the inventory's choice.
    if remembered is not None and not any(remembered in r for r in network.ranges4):
        numbers.append(remembered)
    for number in numbers:
        inside = any(IPv4Address(number) in known for known in subnets)
        if inside and (network.uuid, number) not in claimed.addresses:
            claimed.addresses.add((network.uuid, number))
            return to_text(number)
    return None


def mac_of(nic: SourceNic, claimed: Claimed) -> str | None:
    """None where the domain has none, or another one's."""
    mac = (nic.mac or "").lower()
    if not mac or mac in claimed.macs:
        return None
    claimed.macs.add(mac)
    return mac
