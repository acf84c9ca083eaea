"""When a passing fault is tried again: attempts in, delay out."""

import random

DELAYS_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
MAX_LAPSES = 20  # leases lost to dead or stalled workers, counted apart from attempts


def retry_delay_s(attempts: int, rng: random.Random) -> float | None:
    """The wait after this many attempts, jittered by a quarter; None when they are spent."""
    if attempts > len(DELAYS_S):
        return None
    return DELAYS_S[attempts - 1] * rng.uniform(0.75, 1.25)


def stranded_delay_s(tries: int, rng: random.Random) -> float:
    """The wait before a failed rollback is tried again; there is no last try."""
    return min(300.0, 2.0 ** min(tries, 9)) * rng.uniform(0.75, 1.25)
