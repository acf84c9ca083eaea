"""What start asks of the inventory for what a request names: addresses, offerings, images, and
whether the account may use them."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection

from app.domain import addressing
from app.domain.disk_params import DiskWish
from app.domain.errors import (
    AddressUnavailable,
    InvalidArgument,
    NotImplementedHere,
    PermissionDenied,
)
from app.domain.nic_params import NicWish
from app.domain.plan import HypervisorType
from app.domain.request import CloneRequest
from app.domain.spec import CloneSpec
from app.domain.system_tags import Subnet
from app.store import lookups
from app.store.sources import SourceVm


def check_addresses(connection: Connection, request: CloneRequest) -> None:
    """Named addresses lie in ranges of their networks, where those have any; what says more of a
    subnet than its range does is refused. Raises AddressUnavailable, InvalidArgument."""
    for l3_uuid, ip in _named(request):
        ranges = lookups.ranges(connection, l3_uuid)
        if ranges and not any(_lies_in(ip, each) for each in ranges):
            raise AddressUnavailable(
                f"IP[{ip}] is not available: it is in no range of l3Network[uuid:{l3_uuid}], for "
                "which the request names it"
            )
    for l3_uuid, ip, netmask in _with_netmasks(request):
        if netmask is None and not lookups.ranges(connection, l3_uuid):
            raise InvalidArgument(
                f"IP[{ip}] is named for l3Network[uuid:{l3_uuid}], which has no ranges to say its "
                "netmask; name that too (netmask or prefix6, or system tags ipv4Netmask or "
                "ipv6Prefix)"
            )
    for l3_uuid, what, value in _said(request):
        ranges = lookups.ranges(connection, l3_uuid)
        if ranges and value not in {each.netmask for each in ranges} | {
            each.gateway for each in ranges
        }:
            raise InvalidArgument(
                f"{what}[{value}] is not that of l3Network[uuid:{l3_uuid}], whose ranges say it "
                "themselves; leave it out"
            )


def _lies_in(ip: str, address_range: addressing.AddressRange) -> bool:
    version, number = addressing.split_ip(ip)
    return version == address_range.version and number in address_range


def _named(request: CloneRequest) -> Iterator[tuple[str, str]]:
    yield from request.static_ips
    for nic in request.nics:
        yield from ((nic.l3_network_uuid, ip) for ip in (nic.ip, nic.ip6) if ip)


def _with_netmasks(request: CloneRequest) -> Iterator[tuple[str, str, str | int | None]]:
    """(network, address, what the request says of its subnet)."""
    of_tags = {subnet.l3_network_uuid: subnet for subnet in request.subnets}

    def said(l3_uuid: str, ip: str) -> str | int | None:
        subnet = of_tags.get(l3_uuid, Subnet(l3_uuid))
        return subnet.netmask if addressing.split_ip(ip)[0] == 4 else subnet.prefix6

    for l3_uuid, ip in request.static_ips:
        yield l3_uuid, ip, said(l3_uuid, ip)
    for nic in request.nics:
        for named, own in ((nic.ip, nic.netmask), (nic.ip6, nic.prefix6)):
            if named:
                yield nic.l3_network_uuid, named, own or said(nic.l3_network_uuid, named)


def _said(request: CloneRequest) -> Iterator[tuple[str, str, str]]:
    """(network, what, value); prefixes as netmasks."""
    said: list[NicWish | Subnet] = [*request.nics, *request.subnets]
    for each in said:
        prefix6 = each.prefix6 and addressing.netmask_of(each.prefix6)
        for what, value in (
            ("netmask", each.netmask),
            ("gateway", each.gateway),
            ("prefix6", prefix6),
            ("gateway6", each.gateway6),
        ):
            if value:
                yield each.l3_network_uuid, what, value


def check_shares(
    connection: Connection, spec: CloneSpec, source: SourceVm, account_uuid: str
) -> None:
    """Clones may be where their source is, and have in their drives what it has; anything else
    that is named is shared with the account. Raises PermissionDenied, NotImplementedHere."""
    for what, kind, uuid in dict.fromkeys(_shared(spec, source)):
        if not lookups.may_copy(connection, account_uuid, kind, uuid):
            raise PermissionDenied(
                f"{what}[uuid:{uuid}] is not shared with account[uuid:{account_uuid}]; have it "
                "shared by admin"
            )
        if kind == "ImageVO" and source.hypervisor_type is HypervisorType.KVM:
            raise NotImplementedHere(
                f"system tag cdroms names image[uuid:{uuid}], whose file vmclone does not know; "
                "put it into a drive of the source, whose clones have it too, or ask for empty ones"
            )


def _shared(spec: CloneSpec, source: SourceVm) -> Iterator[tuple[str, str, str]]:
    """(what it is, ZStack's resource type, uuid) of what the source does not have itself."""
    networks = [nic.l3_network_uuid for nic in spec.nics]
    networks += [l3_uuid for l3_uuid, _ in (*spec.static_ips, *spec.custom_macs)]
    networks += [subnet.l3_network_uuid for subnet in spec.subnets]
    near = {nic.l3_network_uuid for nic in source.nics}
    yield from (("l3Network", "L3NetworkVO", uuid) for uuid in networks if uuid not in near)
    offerings = [spec.root.offering_uuid, *(disk.offering_uuid for disk in spec.disks)]
    yield from (("diskOffering", "DiskOfferingVO", uuid) for uuid in offerings if uuid)
    known = {iso for iso, _ in source.cdroms}
    yield from (("image", "ImageVO", iso) for iso in spec.cdroms or () if iso and iso not in known)


def with_offerings(connection: Connection, spec: CloneSpec) -> CloneSpec:
    """Every disk has the size that its offering says."""

    def sized(disk: DiskWish) -> DiskWish:
        if disk.offering_uuid is None:
            return disk
        return replace(disk, size=lookups.offered_bytes(connection, disk.offering_uuid))

    root = spec.root
    if root.offering_uuid is not None:
        size = lookups.offered_bytes(connection, root.offering_uuid)
        root = replace(root, size=size)
    return replace(spec, root=root, disks=tuple(map(sized, spec.disks)))
