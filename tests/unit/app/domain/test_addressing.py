import random
import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.addressing import (
    AddressRange,
    first_available,
    mint_mac,
    netmask_of,
    nth_ip,
    nth_mac,
    prefix_of,
    random_free,
    tap_name,
    to_number,
    to_text,
)


def a_range(start: int, end: int) -> AddressRange:
    return AddressRange("r", start, end, "255.255.255.0", None)


def test_a_mac_has_zstacks_form() -> None:
    assert re.fullmatch(r"fa(:[0-9a-f]{2}){4}:02", mint_mac(2, random.Random(1)))


def test_a_tap_has_zstacks_form_where_an_interface_can_be_called_so() -> None:
    assert tap_name(12_345_678, 3) == "vnic12345678.3"
    others = {tap_name(1 << 62, device_id) for device_id in range(300)}
    assert len(others) == 300
    assert {len(name) for name in others} == {15}


def test_addresses_convert_both_ways() -> None:
    assert to_text(to_number("192.168.0.10")) == "192.168.0.10"


def test_first_available_skips_what_is_taken() -> None:
    assert list(first_available(a_range(10, 14), {10, 12})) == [11, 13, 14]


@given(st.integers(1, 60), st.sets(st.integers(0, 70)), st.integers(0, 1000))
def test_random_picks_are_every_free_address_once(size: int, taken: set[int], seed: int) -> None:
    picks = list(random_free(a_range(5, 4 + size), taken, random.Random(seed)))
    assert sorted(picks) == sorted(set(range(5, 5 + size)) - taken)


def test_random_picks_differ_from_the_ranges_order() -> None:
    picks = random_free(a_range(0, 10_000), set(), random.Random(3))
    first = [next(picks) for _ in range(5)]
    assert first != sorted(first)


@pytest.mark.parametrize(
    ("first", "number", "then"),
    [
        ("fa:00:00:00:00:ff", 1, "fa:00:00:00:01:00"),
        ("fa:00:00:00:00:ff", 0, "fa:00:00:00:00:ff"),
        ("fa:ff:ff:ff:ff:ff", 1, None),  # a multicast one would be next
        ("fe:ff:ff:ff:ff:ff", 1 << 40, None),
    ],
)
def test_macs_are_counted_up(first: str, number: int, then: str | None) -> None:
    assert nth_mac(first, number) == then


@pytest.mark.parametrize(
    ("first", "number", "then"),
    [
        ("10.0.0.255", 1, "10.0.1.0"),
        ("255.255.255.255", 1, None),
        ("fd00::ffff", 1, "fd00::1:0"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, None),
    ],
)
def test_addresses_are_counted_up_in_their_family(
    first: str, number: int, then: str | None
) -> None:
    assert nth_ip(first, number) == then


def test_netmasks_of_both_families_are_prefixes() -> None:
    assert prefix_of("255.255.240.0") == 20
    assert netmask_of(64) == "ffff:ffff:ffff:ffff::"
    assert [prefix_of(netmask_of(length)) for length in (1, 48, 64, 128)] == [1, 48, 64, 128]


def test_a_range_of_ipv6_is_picked_from_without_being_listed() -> None:
    huge = AddressRange("r", 1 << 64, (1 << 65) - 1, netmask_of(64), None, 6)
    assert list(islice(first_available(huge, {1 << 64}), 2)) == [(1 << 64) + 1, (1 << 64) + 2]
    picked = list(islice(random_free(huge, set(), random.Random(1)), 50))
    assert len(set(picked)) == 50
    assert all(number in huge for number in picked)
