"""The NICs that a CloneVmInstance request asks for instead of its source's (`vmNicParams`).

Source of names and defaults: docs/zstack-compatibility.md. Rates are bits a second.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from app.domain.addressing import (
    checked_ip,
    checked_mac,
    checked_netmask,
    checked_prefix,
    mac_number,
    split_ip,
)
from app.domain.elements import Element
from app.domain.errors import InvalidArgument, NotImplementedHere, ResourceNotFound

T = TypeVar("T")

MAX_NICS = 24  # ZStack's limit for a VM
MAX_QUEUES = 256  # QEMU's for a virtio NIC
DRIVER_TYPES = ("virtio", "e1000", "e1000e", "igb", "rtl8139", "vmxnet3", "pcnet", "ne2k_pci")
STATES = ("enable", "disable")
_VNIC = "VNIC"


@dataclass(frozen=True, slots=True)
class NicWish:
    """`mac`, `ip` and `ip6` are the first clone's; each further name gets the next one."""

    l3_network_uuid: str
    driver_type: str | None = None  # None: the source's in the same place
    ip: str | None = None
    link_up: bool = True
    inbound: int | None = None  # None: no limit
    outbound: int | None = None
    is_default: bool = False
    mac: str | None = None
    # Of addresses on networks without ranges, which say nothing about their subnet.
    netmask: str | None = None
    gateway: str | None = None
    ip6: str | None = None
    prefix6: int | None = None
    gateway6: str | None = None
    meta_data: str | None = None
    queues: int | None = None


def parse_nics(elements: Sequence[Any], names: int = 1) -> tuple[NicWish, ...]:
    """In their order, for that many names; exactly one is the default, if there is any. Raises
    InvalidArgument, NotImplementedHere and ResourceNotFound."""
    if len(elements) > MAX_NICS:
        raise InvalidArgument(
            f"field[vmNicParams] has {len(elements)} elements, a VM has at most {MAX_NICS} NICs"
        )
    wishes = [_wish(Element("vmNicParams", n, each)) for n, each in enumerate(elements)]
    defaults = [number for number, wish in enumerate(wishes) if wish.is_default]
    if len(defaults) > 1:
        raise InvalidArgument(
            f"field[vmNicParams] has {len(defaults)} elements with isDefaultNic; one NIC can be it"
        )
    for name, parse in (("mac", mac_number), ("ip", _ip_number), ("ip6", _ip_number)):
        _check_apart(wishes, name, parse, names)
    if wishes and not defaults:
        wishes[0] = replace(wishes[0], is_default=True)
    return tuple(wishes)


def _check_apart(
    wishes: Sequence[NicWish], name: str, number_of: Callable[[str], int], names: int
) -> None:
    """As many follow each first one as there are names. Addresses are different on a network, MACs
    everywhere."""
    firsts: dict[str | None, list[tuple[int, str]]] = defaultdict(list)
    for wish in wishes:
        first = getattr(wish, name)
        if first:
            place = None if name == "mac" else wish.l3_network_uuid
            firsts[place].append((number_of(first), first))
    for of_place in firsts.values():
        for (one, first), (other, second) in pairwise(sorted(of_place)):
            if other - one < names:
                raise InvalidArgument(
                    f"field[vmNicParams] has two elements with {name} {first} and {second}, and "
                    f"each name takes the next one of both: {names} names would want the same; "
                    "name first ones that are further apart"
                )


def _ip_number(ip: str) -> int:
    return split_ip(ip)[1]


def _wish(element: Element) -> NicWish:
    network = element.uuid("l3NetworkUuid", "an L3 network")
    if network is None:
        raise element.refused("l3NetworkUuid", "must be the uuid of an L3 network")
    _refuse_what_is_not_there(element)
    driver = element.choice("driverType", DRIVER_TYPES)
    queues = element.number("multiQueueNum", "queues", MAX_QUEUES)
    if queues and driver not in (None, "virtio"):
        raise element.refused("multiQueueNum", f"needs a virtio NIC, and driverType is {driver}")
    return NicWish(
        l3_network_uuid=network,
        driver_type="virtio" if queues else driver,
        link_up=element.choice("state", STATES) != "disable",
        inbound=element.number("inboundBandwidth", "bits a second"),
        outbound=element.number("outboundBandwidth", "bits a second"),
        is_default=element.flag("isDefaultNic"),
        mac=_read(element, "mac", checked_mac),
        meta_data=element.text("metaData", 2048),
        queues=queues,
        **_addresses(element),
    )


def _refuse_what_is_not_there(element: Element) -> None:
    groups = element.texts("sgUuids")
    if groups:
        raise ResourceNotFound(
            f"invalid field[{element.where}.sgUuids], resource[uuid:{groups[0]}, "
            "type:SecurityGroupVO] not found: vmclone knows no security groups; leave it out, and "
            "let system tag cleanTraffic::true keep guests to their own addresses"
        )
    kind = element.text("VmNicType")
    if kind not in (None, _VNIC):
        raise NotImplementedHere(
            f"field[{element.where}.VmNicType] is {kind}, and vmclone makes NICs of type {_VNIC} "
            "only; leave it out"
        )


def _addresses(element: Element) -> dict[str, Any]:
    ip, ip6 = _ip(element, "ip", 4), _ip(element, "ip6", 6)
    gateway, gateway6 = _ip(element, "gateway", 4), _ip(element, "gateway6", 6)
    netmask = _read(element, "netmask", checked_netmask, "must be a netmask, as 255.255.255.0")
    prefix6 = _read(element, "prefix6", checked_prefix)  # text, as ZStack's clients send it
    for field, value, needed in (
        ("netmask", netmask, ip),
        ("gateway", gateway, ip),
        ("prefix6", prefix6, ip6),
        ("gateway6", gateway6, ip6),
    ):
        if value is not None and needed is None:
            raise element.refused(field, "goes with an address in the same element")
    return {
        "ip": ip,
        "netmask": netmask,
        "gateway": gateway,
        "ip6": ip6,
        "prefix6": prefix6,
        "gateway6": gateway6,
    }


def _ip(element: Element, field: str, version: int) -> str | None:
    parse = partial(checked_ip, version=version)
    return _read(element, field, parse, f"must be an IPv{version} address")


def _read(
    element: Element, field: str, parse: Callable[[str], T], what: str | None = None
) -> T | None:
    """`what` it must be; None: as the parser says."""
    given = element.text(field)
    try:
        return None if given is None else parse(given)
    except ValueError as error:
        raise element.refused(field, what or str(error)) from None
