"""How much may be under way at once: on a host, on a storage, of a source, of an account."""

from dataclasses import dataclass, field

from app.domain.states import WaitReason


@dataclass(slots=True)
class Slots:
    """Places, and how many of them each account has; `take` moves them within a batch.

    Where there is more than one place the last is kept for accounts that have none here: one name
    of a small account never waits for the end of another's long copies.
    """

    limit: int | None  # None: no limit
    full: WaitReason  # what a name waits for where no place is left
    taken: dict[str, int] = field(default_factory=dict)  # by account
    keeps_last: bool = True

    @property
    def free(self) -> int | None:
        """Negative where the limit was lowered; None without one."""
        return None if self.limit is None else self.limit - sum(self.taken.values())

    def refuses(self, account_uuid: str) -> WaitReason | None:
        """What one more of the account waits for; None where it may begin."""
        free = self.free
        if free is None or self.limit is None:
            return None
        if free <= 0:
            return self.full
        kept = self.keeps_last and free == 1 and self.limit > 1
        return WaitReason.ACCOUNT_SHARE if kept and self.taken.get(account_uuid) else None

    def take(self, account_uuid: str) -> None:
        self.taken[account_uuid] = self.taken.get(account_uuid, 0) + 1
