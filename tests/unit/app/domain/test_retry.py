import random

import pytest

from app.domain.retry import DELAYS_S, retry_delay_s, stranded_delay_s


@pytest.mark.parametrize("attempts", range(1, len(DELAYS_S) + 1))
def test_each_attempt_waits_about_its_time(attempts: int) -> None:
    delay_s = retry_delay_s(attempts, random.Random(attempts))
    assert delay_s is not None
    assert 0.75 * DELAYS_S[attempts - 1] <= delay_s <= 1.25 * DELAYS_S[attempts - 1]


def test_attempts_are_spent_in_the_end() -> None:
    assert retry_delay_s(len(DELAYS_S) + 1, random.Random(0)) is None


def test_a_rollback_is_tried_for_ever_at_a_bounded_pace() -> None:
    assert all(0 < stranded_delay_s(tries, random.Random(tries)) <= 375 for tries in range(1, 99))
