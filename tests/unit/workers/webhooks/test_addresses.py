"""A callback reaches other machines, and neither this one, its link nor the cloud's metadata."""

import pytest

from workers.webhooks.addresses import AddressRefused, JudgingResolver, check_address, check_url

REFUSED = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "::ffff:127.0.0.1",
    "169.254.169.254",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "255.255.255.255",
]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(address, loopback_allowed=False)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "93.184.215.14", "2001:db8::1"])
def test_private_and_public_addresses_are_reached(address: str) -> None:
    check_address(address, loopback_allowed=False)


def test_loopback_is_reached_where_it_is_allowed_and_metadata_never() -> None:
    check_address("127.0.0.1", loopback_allowed=True)
    with pytest.raises(AddressRefused):
        check_address("169.254.169.254", loopback_allowed=True)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/x", "not an absolute http or https URL"),
        ("http:///x", "not"),
        ("/x", "not an absolute http or https URL"),
        ("http://user:secret@example.org/", "holds credentials"),
        ("http://[::1", "not a URL"),
    ],
)
def test_a_url_that_goes_nowhere_is_refused(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        check_url(url)


async def test_a_name_is_judged_by_what_it_resolves_to() -> None:
    with pytest.raises(AddressRefused):
        await JudgingResolver(loopback_allowed=False).resolve("localhost", 80)
    found = await JudgingResolver(loopback_allowed=True).resolve("localhost", 80)
    assert {result["host"] for result in found} <= {"127.0.0.1", "::1"}
