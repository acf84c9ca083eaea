"""From a fault's end until all that it hit goes on."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.work import Moved, Work


@dataclass(slots=True)
class Watched:
    """One fault's victims, from the fault's end on."""

    fault: str
    since_s: float
    left: dict[str, Work]
    moved: Moved
    alone: bool = True  # no other fault was at work until it had recovered

    def look(self, work: Sequence[Work]) -> bool:
        """True once none of them is as it was."""
        now = {w.uuid: w for w in work}
        self.left = {
            uuid: before
            for uuid, before in self.left.items()
            if uuid in now and not self.moved(before, now[uuid])
        }
        return not self.left


@dataclass(slots=True)
class Probe:
    """A fault whose victim is asked directly."""

    fault: str
    since_s: float
    answers: Callable[[], bool]
    alone: bool = True


@dataclass
class Recoveries:
    """Seconds, by fault: of all, and of those that no other fault interfered with."""

    times_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    alone_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _watched: list[Watched] = field(default_factory=list)
    _probes: list[Probe] = field(default_factory=list)

    def watch(self, entry: Watched | Probe) -> None:
        if isinstance(entry, Probe):
            self._probes.append(entry)
        elif entry.left:
            self._watched.append(entry)

    def interfere(self) -> None:
        """Another fault begins: what has not recovered yet is not alone."""
        for entry in self._all():
            entry.alone = False

    def look(self, work: Sequence[Work] | None) -> None:
        now_s = time.monotonic()
        if work is not None:
            self._watched = [w for w in self._watched if not self._over(w, w.look(work), now_s)]
        self._probes = [p for p in self._probes if not self._over(p, p.answers(), now_s)]

    def _over(self, entry: Watched | Probe, recovered: bool, now_s: float) -> bool:
        if recovered:
            self.times_s[entry.fault].append(now_s - entry.since_s)
        if recovered and entry.alone:
            self.alone_s[entry.fault].append(now_s - entry.since_s)
        return recovered

    def pending(self) -> list[str]:
        return [entry.fault for entry in self._all()]

    def _all(self) -> list[Watched | Probe]:
        return [*self._watched, *self._probes]
