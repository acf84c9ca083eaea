"""A host's line: whose granted item is next, by start-time fair queueing. No I/O.

Each item gets a turn when it is granted, and the lowest turn goes first. An account's items follow
each other by the inverse of its weight, and none is given a turn before what is next now: so one
name of a small account goes ahead of another's thousands, nobody is overtaken for ever, and of two
accounts with long queues the one of twice the weight gets twice the work.
Source: Goyal, Vin and Cheng, Start-time Fair Queueing, 1996.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Line:
    """`now` is the lowest turn that waits, `last` each account's highest, of what is open."""

    now: float = 0.0
    last: dict[str, float] = field(default_factory=dict)

    def take(self, account_uuid: str, weight: float) -> float:
        """The next item's turn."""
        before = self.last.get(account_uuid)
        turn = self.now if before is None else max(self.now, before + 1 / weight)
        self.last[account_uuid] = turn
        return turn
