"""Token buckets by client address, in memory: a brake on guessing, not a quota."""

import time
from collections import OrderedDict

MAX_ADDRESSES = 10_000


class Limiter:
    """Each address may spend `burst` at once and `per_second` in the long run."""

    def __init__(self, *, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_spent(self, address: str) -> bool:
        """True while the address has nothing left."""
        return self._left(address, time.monotonic()) < 1

    def wait_s(self, address: str) -> float:
        """Until the address may spend again; 0: now."""
        left = self._left(address, time.monotonic())
        return max(0.0, (1 - left) / self._per_second)

    def give_back(self, address: str) -> None:
        now_s = time.monotonic()
        self._buckets[address] = (min(self._burst, self._left(address, now_s) + 1), now_s)

    def spend(self, address: str) -> None:
        now_s = time.monotonic()
        self._buckets[address] = (max(0.0, self._left(address, now_s) - 1), now_s)
        self._buckets.move_to_end(address)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)

    def _left(self, address: str, now_s: float) -> float:
        left, at_s = self._buckets.get(address, (self._burst, now_s))
        return min(self._burst, left + (now_s - at_s) * self._per_second)
