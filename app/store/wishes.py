"""What start asks of the inventory for addresses and disk offerings that a request names."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection

from app.domain import addressing
from app.domain.disk_params import DiskWish
from app.domain.errors import AddressUnavailable, InvalidArgument
from app.domain.nic_params import NicWish
from app.domain.request import CloneRequest
from app.domain.spec import CloneSpec
from app.domain.system_tags import Subnet
from app.store import lookups


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
