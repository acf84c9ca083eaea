"""Minting MAC addresses, naming taps and picking IPv4 addresses in ranges. Pure: what is taken is
told."""

import hashlib
import random
from collections.abc import Iterator, Set
from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True)
class AddressRange:
    uuid: str
    start: int  # IPv4 as a number, both ends included
    end: int
    netmask: str
    gateway: str | None

    def __contains__(self, address: int) -> bool:
        return self.start <= address <= self.end

    @property
    def size(self) -> int:
        return self.end - self.start + 1


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


def to_number(ip: str) -> int:
    """Raises ValueError for anything but a dotted IPv4 address."""
    return int(IPv4Address(ip))


def to_text(number: int) -> str:
    return str(IPv4Address(number))


def first_available(address_range: AddressRange, taken: Set[int]) -> Iterator[int]:
    """Free addresses from the range's start."""
    return (n for n in range(address_range.start, address_range.end + 1) if n not in taken)


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
