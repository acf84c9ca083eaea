"""What a request may say of its clones' NICs."""

from typing import Any

import pytest

from app.domain.errors import InvalidArgument
from app.domain.nic_params import MAX_NICS, NicWish, ignored_fields, parse_nics

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
        names=1,
    ) == (
        NicWish(L3, "e1000", "10.0.0.9", link_up=False),
        NicWish(L3, inbound=8_000_000, outbound=1, is_default=True),
    )


def test_what_clients_always_send_is_as_good_as_none() -> None:
    empty = element(driverType="", ip=None, inboundBandwidth=0, outboundBandwidth=None)
    assert parse_nics([empty], names=9) == (NicWish(L3, is_default=True),)


def test_the_first_is_the_default_unless_another_is() -> None:
    wishes = parse_nics([element(isDefaultNic=False), element(isDefaultNic=True)], names=1)
    assert [wish.is_default for wish in wishes] == [False, True]
    wishes = parse_nics([element(), element()], names=1)
    assert [wish.is_default for wish in wishes] == [True, False]
    assert parse_nics([], names=1) == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["x"], r"vmNicParams\[0\]\] must be an object"),
        ([element(), {}], r"vmNicParams\[1\].l3NetworkUuid\] must be the uuid"),
        ([element(l3NetworkUuid="x")], r"l3NetworkUuid\] must be the uuid"),
        ([element(l3NetworkUuid=1)], r"l3NetworkUuid\] must be a string"),
        ([element(driverType="ne3000")], r"driverType\] is ne3000, valid values are virtio, e1000"),
        ([element(state="Enable")], r"state\] is Enable, valid values are enable, disable"),
        ([element(inboundBandwidth=-1)], r"inboundBandwidth\] is -1, which is no rate"),
        ([element(inboundBandwidth="8")], r"must be a whole number of bits"),
        ([element(outboundBandwidth=True)], r"must be a whole number of bits"),
        ([element(outboundBandwidth=1 << 63)], r"which is no rate"),
        ([element(isDefaultNic="true")], r"isDefaultNic\] must be true or false"),
        ([element(isDefaultNic=True)] * 2, r"2 elements with isDefaultNic"),
        ([element(ip="10.0.0")], r"ip\] must be an IPv4 address"),
        ([element(ip="10.0.0.9")], r"ip\] is one guest's, and the request has 2 names"),
        ([element()] * (MAX_NICS + 1), r"has 25 elements"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(given: list[Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        parse_nics(given, names=2)


def test_fields_without_an_effect_are_listed_once() -> None:
    given = [element(mac="fa:00:00:00:00:01", sgUuids=[]), element(mac="", multiQueueNum=4)]
    assert list(ignored_fields(given)) == ["vmNicParams[mac]", "vmNicParams[multiQueueNum]"]
