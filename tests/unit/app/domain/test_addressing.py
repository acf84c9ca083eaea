import random
import re

from hypothesis import given
from hypothesis import strategies as st

from app.domain.addressing import (
    AddressRange,
    first_available,
    mint_mac,
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
