"""Minting MAC addresses, naming taps and picking addresses in ranges. Pure: what is taken is
told."""

import hashlib
import random
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


@dataclass(frozen=True, slots=True)
class AddressRange:
    uuid: str
    start: int  # an address as a number, both ends included
    end: int
    netmask: str
    gateway: str | None
    version: int = 4

    def __contains__(self, address: int) -> bool:
        return self.start <= address <= self.end

    @property
    def first_ip(self) -> str:
        return text_of(self.version, self.start)

    @property
    def last_ip(self) -> str:
        return text_of(self.version, self.end)

    @property
    def size(self) -> int:
        return self.end - self.start + 1


_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
MAX_MAC = (1 << 48) - 1
MAX_TAP_NAME = 15  # an interface's; source: linux/if.h, IFNAMSIZ


def tap_name(internal_id: int, device_id: int) -> str:
    """ZStack's form where it fits."""
    name = f"vnic{internal_id}.{device_id}"
    if len(name) <= MAX_TAP_NAME:
        return name
    return f"vnic{hashlib.sha256(name.encode()).hexdigest()}"[:MAX_TAP_NAME]


def mint_mac(device_id: int, rng: random.Random) -> str:
    """ZStack's form: `fa:`, four random octets, the device id."""
    octets = rng.getrandbits(32).to_bytes(4)
    return ":".join(["fa", *(f"{octet:02x}" for octet in octets), f"{device_id & 0xFF:02x}"])


def checked_mac(given: str) -> str:
    """In lower case with colons. Raises ValueError for what no NIC can have."""
    mac = given.lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{given[:32]} is no MAC address, as fa:16:3e:00:00:01")
    if int(mac[:2], 16) & 1:
        raise ValueError(f"{mac} is a multicast address; the first octet of a NIC's is even")
    if mac == "00:00:00:00:00:00":
        raise ValueError(f"{mac} is nobody's MAC address")
    return mac


def checked_ip(given: str, *, version: int | None = None) -> str:
    """As it is usually written. Raises ValueError, for an address with a zone too."""
    address = ip_address(given)
    if "%" in given or version not in (None, address.version):
        raise ValueError(f"must be an IPv{version} address")
    return str(address)


def checked_netmask(given: str) -> str:
    """Of IPv4. Raises ValueError for anything else, inverted ones included."""
    netmask = str(ip_network(f"0.0.0.0/{IPv4Address(given)}").netmask)
    if netmask != given:
        raise ValueError("must be a netmask, as 255.255.255.0")
    return netmask


def checked_prefix(given: str) -> int:
    """Of IPv6. Raises ValueError."""
    if not (given.isascii() and given.isdigit() and len(given) <= 3 and 1 <= int(given) <= 128):
        raise ValueError("must be a prefix length, 1 to 128")
    return int(given)


def mac_number(mac: str) -> int:
    return int(mac.replace(":", ""), 16)


def nth_mac(first: str, number: int) -> str | None:
    """That many after the first; None past the last one that a NIC can have."""
    value = mac_number(first) + number
    if value > MAX_MAC or (value >> 40) & 1:
        return None
    return value.to_bytes(6).hex(":")


def nth_ip(first: str, number: int) -> str | None:
    """That many after the first; None past the family's last one."""
    address = ip_address(first)
    value = int(address) + number
    return None if value >> address.max_prefixlen else text_of(address.version, value)


def split_ip(ip: str) -> tuple[int, int]:
    """(version, number). Raises ValueError for what is no address."""
    address = ip_address(ip)
    return address.version, int(address)


def text_of(version: int, number: int) -> str:
    return str(IPv4Address(number) if version == 4 else IPv6Address(number))


def prefix_of(netmask: str) -> int:
    """The length that a netmask of either family stands for."""
    version, number = split_ip(netmask)
    return number.bit_count() if version == 6 else ip_network(f"0.0.0.0/{netmask}").prefixlen


def netmask_of(prefix: int) -> str:
    """Of IPv6."""
    return str(IPv6Address(((1 << prefix) - 1) << (128 - prefix)))


def to_number(ip: str) -> int:
    """Raises ValueError for anything but a dotted IPv4 address."""
    return int(IPv4Address(ip))


def to_text(number: int) -> str:
    return str(IPv4Address(number))


def first_available(address_range: AddressRange, taken: Set[int]) -> Iterator[int]:
    """Free addresses from the range's start."""
    number = address_range.start
    while number <= address_range.end:  # a range of IPv6 has no len()
        if number not in taken:
            yield number
        number += 1


def random_free(address_range: AddressRange, taken: Set[int], rng: random.Random) -> Iterator[int]:
    """Free addresses in random order, each once: from a random place on, wrapping around, for
    each pick anew while the range is sparse, then in one sweep over what is left."""
    given: set[int] = set()
    misses = 0
    while misses < 8:
        number = rng.randint(address_range.start, address_range.end)
        if number in taken or number in given:
            misses += 1
            continue
        misses = 0
        given.add(number)
        yield number
    rest = [n for n in first_available(address_range, taken) if n not in given]
    rng.shuffle(rest)
    yield from rest
