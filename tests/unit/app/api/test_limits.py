import pytest

from app.api import limits
from app.api.limits import Limiter


class Clock:
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    return clock


def test_an_address_may_spend_its_burst_and_then_waits(clock: Clock) -> None:
    limiter = Limiter(burst=2, per_second=1)
    for _ in range(2):
        assert not limiter.is_spent("a")
        limiter.spend("a")
    assert limiter.is_spent("a")
    assert not limiter.is_spent("b")
    clock.now_s = 1
    assert not limiter.is_spent("a")


def test_nobody_saves_more_than_the_burst(clock: Clock) -> None:
    limiter = Limiter(burst=2, per_second=1)
    limiter.spend("a")
    clock.now_s = 1000
    limiter.spend("a")
    limiter.spend("a")
    assert limiter.is_spent("a")


def test_the_address_that_was_quiet_longest_is_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 2)
    limiter = Limiter(burst=1, per_second=0)
    for address in ("a", "b", "a", "c"):
        limiter.spend(address)
    assert not limiter.is_spent("b")
    assert limiter.is_spent("a")
    assert limiter.is_spent("c")
