"""The NICs that a CloneVmInstance request asks for instead of its source's (`vmNicParams`).

Source of names and defaults: docs/zstack-compatibility.md. Rates are bits a second.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.errors import InvalidArgument

MAX_NICS = 24  # ZStack's limit for a VM
DRIVER_TYPES = ("virtio", "e1000", "e1000e", "igb", "rtl8139", "vmxnet3", "pcnet", "ne2k_pci")
STATES = ("enable", "disable")
# What stands in an element without effect.
_IGNORED = (
    "mac",
    "netmask",
    "gateway",
    "ip6",
    "prefix6",
    "gateway6",
    "metaData",
    "VmNicType",
    "multiQueueNum",
    "sgUuids",
)
_UUID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class NicWish:
    l3_network_uuid: str
    driver_type: str | None = None  # None: the source's in the same place
    ip: str | None = None
    link_up: bool = True
    inbound: int | None = None  # None: no limit
    outbound: int | None = None
    is_default: bool = False


def parse_nics(elements: Sequence[Any], names: int) -> tuple[NicWish, ...]:
    """In their order; exactly one is the default, if there is any. Raises InvalidArgument."""
    if len(elements) > MAX_NICS:
        raise InvalidArgument(
            f"field[vmNicParams] has {len(elements)} elements, a VM has at most {MAX_NICS} NICs"
        )
    wishes = [_wish(Element(number, each), names) for number, each in enumerate(elements)]
    defaults = [number for number, wish in enumerate(wishes) if wish.is_default]
    if len(defaults) > 1:
        raise InvalidArgument(
            f"field[vmNicParams] has {len(defaults)} elements with isDefaultNic; one NIC can be it"
        )
    if wishes and not defaults:
        wishes[0] = replace(wishes[0], is_default=True)
    return tuple(wishes)


def ignored_fields(elements: Sequence[Any]) -> Iterator[str]:
    for name in _IGNORED:
        if any(isinstance(element, dict) and element.get(name) for element in elements):
            yield f"vmNicParams[{name}]"


class Element:
    """One object of the list; every complaint names its field."""

    def __init__(self, number: int, content: Any) -> None:
        self._where = f"vmNicParams[{number}]"
        if not isinstance(content, Mapping):
            raise InvalidArgument(f"field[{self._where}] must be an object")
        self._content = content

    def refused(self, field: str, why: str) -> InvalidArgument:
        return InvalidArgument(f"field[{self._where}.{field}] {why}")

    def text(self, field: str) -> str | None:
        """Empty is as good as none."""
        value = self._content.get(field)
        if value is not None and not isinstance(value, str):
            raise self.refused(field, "must be a string")
        return (value or "").strip() or None

    def choice(self, field: str, choices: Sequence[str]) -> str | None:
        value = self.text(field)
        if value is not None and value not in choices:
            raise self.refused(field, f"is {value[:64]}, valid values are {', '.join(choices)}")
        return value

    def flag(self, field: str) -> bool:
        value = self._content.get(field)
        if value is not None and not isinstance(value, bool):
            raise self.refused(field, "must be true or false")
        return bool(value)

    def rate(self, field: str) -> int | None:
        """Zero is as good as none: some clients send it always."""
        value = self._content.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise self.refused(field, "must be a whole number of bits a second")
        if value is not None and not 0 <= value < 1 << 63:
            raise self.refused(field, f"is {value}, which is no rate")
        return value or None


def _wish(element: Element, names: int) -> NicWish:
    network = element.text("l3NetworkUuid")
    if network is None or not _UUID.fullmatch(network):
        raise element.refused("l3NetworkUuid", "must be the uuid of an L3 network")
    return NicWish(
        l3_network_uuid=network,
        driver_type=element.choice("driverType", DRIVER_TYPES),
        ip=_address(element, names),
        link_up=element.choice("state", STATES) != "disable",
        inbound=element.rate("inboundBandwidth"),
        outbound=element.rate("outboundBandwidth"),
        is_default=element.flag("isDefaultNic"),
    )


def _address(element: Element, names: int) -> str | None:
    ip = element.text("ip")
    if ip is None:
        return None
    try:
        ipaddress.IPv4Address(ip)
    except ValueError:
        raise element.refused("ip", "must be an IPv4 address") from None
    if names > 1:
        raise element.refused(
            "ip",
            f"is one guest's, and the request has {names} names; leave it out, or name addresses "
            "by system tags staticIp",
        )
    return ip
