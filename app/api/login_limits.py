"""How often somebody may try to sign in: by address, and by account.

An attempt is counted before its password is hashed and given back when it was right, so that
many at once gain nothing. An account's own bucket is for guessing from many addresses; who signed
in to it lately from his address is not held up by it, and nobody else ever is.
"""

from collections import OrderedDict

from app.api.limits import MAX_ADDRESSES, Limiter
from app.domain.errors import AuthenticationFailed


class LoginLimits:
    """In memory of one process: behind N API processes N times as many."""

    def __init__(self) -> None:
        self._by_address = Limiter(burst=50, per_second=0.5)
        self._by_both = Limiter(burst=10, per_second=0.1)
        self._by_account = Limiter(burst=100, per_second=1)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, account: str, address: str) -> None:
        """Raises AuthenticationFailed."""
        buckets = self._buckets(account, address)
        for limiter, key in buckets:
            wait_s = limiter.wait_s(key)
            if wait_s > 0:
                raise AuthenticationFailed(
                    f"too many failed attempts to sign in to account[{account[:64]}] or from "
                    f"address[{address}]; try again in {max(1, round(wait_s))} seconds"
                )
        for limiter, key in buckets:
            limiter.spend(key)

    def succeeded(self, account: str, address: str) -> None:
        """The attempt that `begin` counted was none."""
        for limiter, key in self._buckets(account, address):
            limiter.give_back(key)
        self._known[account, address] = None
        self._known.move_to_end((account, address))
        if len(self._known) > MAX_ADDRESSES:
            self._known.popitem(last=False)

    def _buckets(self, account: str, address: str) -> list[tuple[Limiter, str]]:
        buckets = [(self._by_address, address), (self._by_both, f"{address} {account}")]
        if (account, address) not in self._known:
            buckets.append((self._by_account, account))
        return buckets
