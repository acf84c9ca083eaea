"""How often somebody may try to sign in: by address, and by account.

An attempt is counted before its password is hashed and given back when it was right, so that
many at once gain nothing; those that would be too many with others under way wait for these. An
account's own bucket is for guessing from many addresses; who signed in to it lately from his
address is not held up by it, and nobody else ever is.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.api.limits import MAX_ADDRESSES, Limiter
from app.domain.errors import AuthenticationFailed

Bucket = tuple[Limiter, str]


class LoginLimits:
    """In memory of one process: behind N API processes N times as many."""

    def __init__(self) -> None:
        self._by_address = Limiter(burst=50, per_second=0.5)
        self._by_both = Limiter(burst=10, per_second=0.1)
        self._by_account = Limiter(burst=100, per_second=1)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._under_way: Counter[str] = Counter()
        self._ended = asyncio.Condition()

    @asynccontextmanager
    async def attempt(self, account: str, address: str) -> AsyncIterator[None]:
        """One attempt, wrong if the block ends in AuthenticationFailed. Raises
        AuthenticationFailed where there were too many wrong ones."""
        buckets = self._buckets(account, address)
        await self._wait_for_room(buckets, account, address)
        for limiter, key in buckets:
            limiter.spend(key)
            self._under_way[key] += 1
        was_wrong = False
        try:
            yield
            self._remember(account, address)
        except AuthenticationFailed:
            was_wrong = True
            raise
        finally:
            for limiter, key in buckets:
                self._under_way[key] -= 1
                if not self._under_way[key]:
                    del self._under_way[key]
                if not was_wrong:
                    limiter.give_back(key)
            async with self._ended:
                self._ended.notify_all()

    async def _wait_for_room(self, buckets: list[Bucket], account: str, address: str) -> None:
        while (spent := next((b for b in buckets if b[0].is_spent(b[1])), None)) is not None:
            limiter, key = spent
            if key not in self._under_way:
                raise AuthenticationFailed(
                    f"too many failed attempts to sign in to account[{account[:64]}] or from "
                    f"address[{address}]; try again in {max(1, round(limiter.wait_s(key)))} seconds"
                )
            async with self._ended:
                await self._ended.wait()

    def _remember(self, account: str, address: str) -> None:
        self._known[account, address] = None
        self._known.move_to_end((account, address))
        if len(self._known) > MAX_ADDRESSES:
            self._known.popitem(last=False)

    def _buckets(self, account: str, address: str) -> list[Bucket]:
        buckets = [
            (self._by_address, f"from {address}"),
            (self._by_both, f"to {account} from {address}"),
        ]
        if (account, address) not in self._known:
            buckets.append((self._by_account, f"to {account}"))
        return buckets
