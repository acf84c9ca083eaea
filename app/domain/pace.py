"""How fast a job goes and how long it will take, from what was counted. None: not known."""

from dataclasses import dataclass
from typing import Literal

ENOUGH_NAMES = 5  # ended lately, to tell the pace by them alone


@dataclass(frozen=True, slots=True)
class Pace:
    total: int
    ended: int
    begun: float  # what of the names on their way is done, in names
    elapsed_s: float  # since the job began
    window_s: float  # "lately"
    recent_names: int  # that ended well lately
    recent_bytes: int  # what they copied lately
    copying_per_s: int | None  # bytes, of the names on their way
    bytes_done: int
    bytes_total: int | None


@dataclass(frozen=True, slots=True)
class Eta:
    seconds: float | None = None
    basis: Literal["names", "bytes"] | None = None


def rate_of(pace: Pace) -> int | None:
    """Bytes a second, lately."""
    if pace.copying_per_s is None and not pace.recent_bytes:
        return None
    ended = pace.recent_bytes / pace.window_s if pace.window_s > 0 else 0
    return int(ended + (pace.copying_per_s or 0))


def eta_of(pace: Pace) -> Eta:
    """By the bytes while copies are under way whose bytes are all known, else by the names."""
    rate = rate_of(pace)
    if pace.bytes_total and pace.copying_per_s and rate:
        return Eta(round(max(0, pace.bytes_total - pace.bytes_done) / rate, 1), "bytes")
    done = pace.ended + pace.begun
    if pace.recent_names >= ENOUGH_NAMES and pace.window_s > 0:
        per_s = pace.recent_names / pace.window_s
    elif done and pace.elapsed_s > 0:
        per_s = done / pace.elapsed_s
    else:
        return Eta()
    return Eta(round((pace.total - done) / per_s, 1), "names")
