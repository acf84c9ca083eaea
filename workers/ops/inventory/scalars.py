"""Single values of the document: text in, value out, ValueError says what would be valid."""

import posixpath
import re
from collections.abc import Callable, Collection
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import TypeVar

from app.domain.addressing import checked_ip, checked_prefix, netmask_of, split_ip

E = TypeVar("E", bound=StrEnum)

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGTP]iB)?")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50}
_MAX_SIZE = 1 << 62
# ZStack's form of a uuid: RFC 4122, versions 1 to 5, without dashes.
_UUID = re.compile(r"[0-9a-f]{12}[1-5][0-9a-f]{3}[89ab][0-9a-f]{15}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def text(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not have control characters")
    return value


def name(value: str) -> str:
    if not 1 <= len(value) <= 255 or value != value.strip():
        raise ValueError("must have 1 to 255 characters and no space at its ends")
    return text(value)


def count(value: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", value):
        raise ValueError("must be a whole number of at least 1")
    return int(value)


def size(value: str) -> int:
    """Bytes."""
    match = _SIZE.fullmatch(value)
    number, unit = match.groups() if match else ("0", None)
    amount = float(number) * _UNITS[unit] if unit else (int(number) if number.isdigit() else 0)
    if not 0 < amount <= _MAX_SIZE or amount != int(amount):
        raise ValueError("is no size; write bytes or a number with KiB, MiB, GiB or TiB, as 16GiB")
    return int(amount)


def uuid(value: str) -> str:
    if not _UUID.fullmatch(value):
        raise ValueError("is no uuid; write 32 lower-case hex digits of a version 1 to 5 uuid")
    return value


def ip(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("is no IP address") from None


def ipv4(value: str) -> int:
    try:
        return int(IPv4Address(value))
    except ValueError:
        raise ValueError("is no IPv4 address, as 10.0.0.10") from None


def address(value: str) -> tuple[int, int]:
    """(version, number)."""
    try:
        return split_ip(checked_ip(value))
    except ValueError:
        raise ValueError("is no IP address, as 10.0.0.10 or fd00::10") from None


def prefix_length(value: str) -> str:
    """As a netmask of IPv6."""
    try:
        return netmask_of(checked_prefix(value))
    except ValueError:
        raise ValueError("must be a prefix length of IPv6, 1 to 128") from None


def netmask(value: str) -> str:
    try:
        prefix = IPv4Network(f"0.0.0.0/{IPv4Address(value)}").prefixlen
    except ValueError:
        prefix = 0
    if not prefix or str(IPv4Network(f"0.0.0.0/{prefix}").netmask) != value:
        raise ValueError("is no netmask, as 255.255.255.0")
    return value


def mac(value: str) -> str:
    """Lower case with colons."""
    address = value.lower().replace("-", ":")
    if not _MAC.fullmatch(address):
        raise ValueError("is no MAC address, as fa:16:3e:00:00:01")
    if int(address[:2], 16) & 1:
        raise ValueError("is a multicast address; the first octet of a NIC's is even")
    return address


def absolute_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("must be an absolute path")
    # POSIX gives a meaning of its own to exactly two leading slashes.
    plain = "/" + posixpath.normpath(value).lstrip("/")
    if value.rstrip("/") != plain.rstrip("/") or plain == "/":
        raise ValueError(f"must be the plain path of something below /, as {plain}")
    return plain


def libvirt_uri(value: str) -> str:
    if not re.match(r"qemu(\+unix)?:///system(\?|$)", value):
        raise ValueError("must be the system instance of the host itself, as qemu:///system")
    return value


def choice(kind: type[E]) -> Callable[[str], E]:
    def parse(value: str) -> E:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"must be one of {', '.join(kind)}") from None

    return parse


def one_of(valid: Collection[str]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in valid:
            raise ValueError(f"must be one of {', '.join(valid)}")
        return value

    return parse
