from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.fairness import WaitingJob, divide

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(uuid: str, account: str, waiting: int, *, priority: int = 5, minute: int = 0) -> WaitingJob:
    return WaitingJob(uuid, account, priority, NOON + timedelta(minutes=minute), waiting)


def test_one_name_of_a_small_account_goes_ahead() -> None:
    jobs = [job("big", "a", 10_000), job("small", "b", 1, minute=5)]
    assert divide(jobs, {"a": 16}, {}, 4)[0] == ("small", 1)


def test_accounts_share_by_weight() -> None:
    jobs = [job("light", "a", 1000), job("heavy", "b", 1000)]
    assert dict(divide(jobs, {}, {"b": 3.0}, 100)) == {"light": 25, "heavy": 75}


def test_within_an_account_priority_goes_first_then_age() -> None:
    jobs = [
        job("late", "a", 5, minute=2),
        job("early", "a", 5, minute=1),
        job("urgent", "a", 5, priority=9, minute=3),
    ]
    assert divide(jobs, {}, {}, 12) == [("urgent", 5), ("early", 5), ("late", 2)]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 9)), max_size=12),
    st.integers(0, 60),
)
def test_the_budget_is_used_and_never_passed(rows: list[tuple[str, int, int]], budget: int) -> None:
    jobs = [
        job(f"j{number}", account, waiting, priority=priority)
        for number, (account, waiting, priority) in enumerate(rows)
    ]
    shares = dict(divide(jobs, {}, {}, budget))
    assert sum(shares.values()) == min(budget, sum(j.waiting for j in jobs))
    assert all(shares.get(j.uuid, 0) <= j.waiting for j in jobs)
