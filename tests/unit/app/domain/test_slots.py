from app.domain.slots import Slots
from app.domain.states import WaitReason

FULL, SHARE = WaitReason.STORAGE_SLOTS, WaitReason.ACCOUNT_SHARE


def test_without_a_limit_nobody_waits() -> None:
    slots = Slots(None, FULL, {"big": 10**6})
    assert slots.refuses("big") is None


def test_the_last_place_is_for_who_has_none() -> None:
    slots = Slots(3, FULL)
    for refusal in (None, None, SHARE):
        assert slots.refuses("big") is refusal
        if refusal is None:
            slots.take("big")
    assert slots.refuses("small") is None
    slots.take("small")
    assert slots.refuses("third") is FULL


def test_a_single_place_is_kept_for_nobody() -> None:
    slots = Slots(1, FULL)
    assert slots.refuses("a") is None
    slots.take("a")
    assert slots.refuses("b") is FULL


def test_a_limit_lowered_below_what_is_under_way_lets_nothing_begin() -> None:
    slots = Slots(1, FULL, {"a": 3})
    assert slots.free == -2
    assert slots.refuses("b") is FULL


def test_a_limit_of_nothing_stops_everything() -> None:
    assert Slots(0, FULL).refuses("a") is FULL
