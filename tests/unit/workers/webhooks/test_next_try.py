import random

from workers.webhooks.delivery import next_try_s


def test_fifteen_tries_two_seconds_apart_then_slower_and_slower() -> None:
    rng = random.Random(1)
    assert [next_try_s(n, rng) for n in range(1, 15)] == [2.0] * 14
    later = [next_try_s(n, rng) for n in range(15, 40)]
    for number, seconds in enumerate(later):
        most = min(2.0 * 2 ** (number + 1), 3600.0)
        assert most / 2 <= seconds <= most
