"""Who is next at a host, over thousands of ends."""

from collections import Counter, deque

import pytest

from app.domain.line import Line

SLOTS, ENDS = 64, 4000


def served(weights: dict[str, float], most: dict[str, int]) -> Counter[str]:
    """How many of each account's items a host takes whose line is always filled up to `most` of
    each."""
    line = Line()
    ends: Counter[str] = Counter()
    turns: dict[str, deque[float]] = {account: deque() for account in weights}
    for _ in range(ENDS):
        for account, weight in weights.items():
            while len(turns[account]) < most[account]:
                turns[account].append(line.take(account, weight))
        first = min(turns, key=lambda account: turns[account][0])
        turns[first].popleft()
        if not turns[first]:
            del line.last[first]  # nothing of it is open any more
        line.now = min(waiting[0] for waiting in turns.values() if waiting)
        ends[first] += 1
    return ends


@pytest.mark.parametrize(("weight", "share"), [(1.0, 0.5), (4.0, 0.8)])
def test_work_is_shared_by_weight(weight: float, share: float) -> None:
    ends = served({"a": weight, "b": 1.0}, {"a": 51, "b": 13})
    assert ends["a"] / ENDS == pytest.approx(share, abs=0.02)


def test_many_small_accounts_do_not_starve_a_large_one() -> None:
    small = [f"small-{n}" for n in range(6)]
    weights = dict.fromkeys(["large", *small], 1.0)
    ends = served(weights, {"large": 50} | dict.fromkeys(small, 2))
    assert ends["large"] / ENDS == pytest.approx(1 / 7, abs=0.03)


def test_one_name_of_a_small_account_goes_ahead_of_anothers_many() -> None:
    line = Line()
    many = [line.take("many", 1.0) for _ in range(1000)]
    assert line.take("one", 1.0) <= many[1]
