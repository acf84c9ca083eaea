"""Recovery times as a table."""

import math
import statistics

from tests.chaos.arena import LEASE_S
from tests.chaos.faults import KINDS, FlushBroker, KillChild, KillWorker, WipeBroker
from tests.chaos.recovery import Recoveries

PROMISED_S = {  # of a fault alone
    KillWorker.name: LEASE_S + 5,
    KillChild.name: LEASE_S + 5,
    FlushBroker.name: 10.0,
    WipeBroker.name: 10.0,
}


def table(recoveries: Recoveries) -> str:
    """A line for each fault: how often, how often it hit something, and how long until that went
    on: of all, and of those that no other fault interfered with."""
    lines = [
        f"{'seconds until what it hit goes on':<36}{'all':>16}{'alone':>25}",
        f"{'fault':<20}{'times':>6}{'hits':>6}{'median':>9}{'p99':>8}"
        f"{'hits':>9}{'median':>9}{'p99':>8}  promised",
    ]
    for kind in KINDS:
        promised_s = PROMISED_S.get(kind.name)
        lines.append(
            f"{kind.name:<20}{recoveries.counts.get(kind.name, 0):>6}"
            + _columns(recoveries.times_s.get(kind.name, []), 6)
            + _columns(recoveries.alone_s.get(kind.name, []), 9)
            + (f"  {promised_s:.0f} s" if promised_s else "")
        )
    return "\n".join(lines)


def _columns(times_s: list[float], width: int) -> str:
    if not times_s:
        return f"{0:>{width}}{'-':>9}{'-':>8}"
    ordered = sorted(times_s)
    return (
        f"{len(ordered):>{width}}{statistics.median(ordered):>9.2f}{percentile(ordered, 99):>8.2f}"
    )


def percentile(ordered: list[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
