"""What a request may say of its clones' NICs."""

from typing import Any

import pytest

from app.domain.errors import CloneError, InvalidArgument
from app.domain.nic_params import MAX_NICS, NicWish, parse_nics

L3 = "a" * 32


def element(**fields: Any) -> dict[str, Any]:
    return {"l3NetworkUuid": L3, **fields}


def test_all_that_has_an_effect_is_read() -> None:
    assert parse_nics(
        [
            element(driverType="e1000", state="disable", ip="10.0.0.9"),
            element(
                state="enable", inboundBandwidth=8_000_000, outboundBandwidth=1, isDefaultNic=True
            ),
        ],
    ) == (
        NicWish(L3, "e1000", "10.0.0.9", link_up=False),
        NicWish(L3, inbound=8_000_000, outbound=1, is_default=True),
    )


def test_what_clients_always_send_is_as_good_as_none() -> None:
    empty = element(driverType="", ip=None, inboundBandwidth=0, outboundBandwidth=None)
    assert parse_nics([empty]) == (NicWish(L3, is_default=True),)


def test_the_first_is_the_default_unless_another_is() -> None:
    wishes = parse_nics([element(isDefaultNic=False), element(isDefaultNic=True)])
    assert [wish.is_default for wish in wishes] == [False, True]
    wishes = parse_nics([element(), element()])
    assert [wish.is_default for wish in wishes] == [True, False]
    assert parse_nics([]) == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1], r"vmNicParams\[0\]\] must be an object"),
        ([element(), {}], r"vmNicParams\[1\].l3NetworkUuid\] must be the uuid"),
        ([element(l3NetworkUuid="x")], r"l3NetworkUuid\] must be the uuid"),
        ([element(l3NetworkUuid=1)], r"l3NetworkUuid\] must be a string"),
        ([element(driverType="ne3000")], r"driverType\] is ne3000, valid values are virtio, e1000"),
        ([element(state="Enable")], r"state\] is Enable, valid values are enable, disable"),
        ([element(inboundBandwidth=-1)], r"inboundBandwidth\] is -1, it must be"),
        ([element(inboundBandwidth="8")], r"must be a whole number of bits"),
        ([element(outboundBandwidth=True)], r"must be a whole number of bits"),
        (
            [element(outboundBandwidth=1 << 63)],
            r"it must be 0 to",
        ),
        ([element(isDefaultNic="true")], r"isDefaultNic\] must be true or false"),
        ([element(isDefaultNic=True)] * 2, r"2 elements with isDefaultNic"),
        ([element(ip="10.0.0")], r"ip\] must be an IPv4 address"),
        ([element(ip="fd00::1")], r"ip\] must be an IPv4 address"),
        ([element(ip6="10.0.0.9")], r"ip6\] must be an IPv6 address"),
        ([element(ip6="fe80::1%eth0")], r"ip6\] must be an IPv6 address"),
        ([element(gateway="10.0.0.1")], r"gateway\] goes with an address in the same element"),
        ([element(ip6="fd00::9", prefix6="129")], r"prefix6\] must be a prefix length"),
        ([element(ip6="fd00::9", prefix6=64)], r"prefix6\] must be a string"),
        ([element(ip="10.0.0.9", netmask="0.0.0.255")], r"netmask\] must be a netmask"),
        ([element(mac="fa:00")], r"mac\] fa:00 is no MAC address"),
        ([element(mac="01:00:00:00:00:01")], r"is a multicast address"),
        ([element(mac="00:00:00:00:00:00")], r"is nobody's MAC"),
        (
            [element(mac="fa:00:00:00:00:01")] * 2,
            r"two elements with mac fa:00:00:00:00:01 and fa:00:00:00:00:01",
        ),
        ([element(ip="10.0.0.9")] * 2, r"two elements with ip 10.0.0.9 and 10.0.0.9"),
        ([element(multiQueueNum=257)], r"multiQueueNum\] is 257, it must be 0 to 256"),
        ([element(multiQueueNum=2, driverType="e1000")], r"needs a virtio NIC"),
        ([element(metaData="\ud800")], r"metaData\] contains a character that cannot be stored"),
        ([element(sgUuids="x")], r"sgUuids\] must be a list of strings"),
        ([element()] * (MAX_NICS + 1), r"has 25 elements"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(given: list[Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        parse_nics(given)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("ip", "10.0.0.9", "10.0.0.11"),
        ("ip6", "fd00::b", "fd00::9"),
        ("mac", "fa:00:00:00:00:ff", "fa:00:00:00:01:01"),
    ],
)
def test_what_names_of_one_request_would_both_want_is_refused(
    name: str, first: str, second: str
) -> None:
    nics = [element(**{name: first}), element(**{name: second})]
    assert len(parse_nics(nics, 2)) == 2
    with pytest.raises(InvalidArgument, match="3 names would want the same"):
        parse_nics(nics, 3)
    elsewhere = [nics[0], nics[1] | {"l3NetworkUuid": "b" * 32}]
    if name == "mac":
        with pytest.raises(InvalidArgument, match="would want the same"):
            parse_nics(elsewhere, 3)
    else:
        assert len(parse_nics(elsewhere, 3)) == 2


def test_what_an_address_is_made_of() -> None:
    (wish,) = parse_nics(
        [
            element(
                mac="FA-00-00-00-00-01",
                ip="10.0.0.9",
                netmask="255.255.255.0",
                gateway="10.0.0.1",
                ip6="FD00:0::9",
                prefix6="64",
                gateway6="fd00::1",
                metaData="m",
                VmNicType="VNIC",
                multiQueueNum=4,
                sgUuids=[],
            )
        ]
    )
    assert wish == NicWish(
        L3,
        "virtio",
        "10.0.0.9",
        is_default=True,
        mac="fa:00:00:00:00:01",
        netmask="255.255.255.0",
        gateway="10.0.0.1",
        ip6="fd00::9",
        prefix6=64,
        gateway6="fd00::1",
        meta_data="m",
        queues=4,
    )


def test_an_element_may_be_a_string_of_json() -> None:
    assert parse_nics([f'{{"l3NetworkUuid": "{L3}"}}']) == parse_nics([element()])


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("sgUuids", ["b" * 32], "SYS.1003"), ("VmNicType", "VF", "SYS.1014")],
)
def test_what_vmclone_has_none_of_is_refused_as_such(field: str, value: Any, code: str) -> None:
    with pytest.raises(CloneError) as refused:
        parse_nics([element(**{field: value})])
    assert refused.value.code == code
