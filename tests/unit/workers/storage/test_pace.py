"""A copy keeps its rate over any stretch of time, and obeys a new one at once."""

from dataclasses import dataclass, field

from tests.storage import MIB, Control
from workers.storage.pace import CHUNK, LOOK_S, Pace


@dataclass
class Clock:
    now_s: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def copy(control: Control, clock: Clock, size: int) -> None:
    """A disk that is infinitely fast."""
    pace = Pace(control, clock_s=lambda: clock.now_s, sleep=clock.sleep)
    done = 0
    while done < size:
        pace.wait(done)
        done += min(pace.chunk, size - done)


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    copy(Control(), clock, 1 << 30)
    assert clock.slept == []


def test_a_copy_takes_its_size_over_its_rate() -> None:
    clock, size, rate = Clock(), 100 * MIB, 8 * MIB
    began_s = clock.now_s
    copy(Control(rate_bytes_s=rate), clock, size)
    wanted_s = size / rate
    assert wanted_s * 0.95 - LOOK_S < clock.now_s - began_s <= wanted_s
    assert max(clock.slept) <= LOOK_S, "lease and cancel are looked at all the while"


def test_a_changed_rate_is_obeyed_in_the_middle_of_a_wait() -> None:
    control, clock = Control(rate_bytes_s=MIB), Clock()
    pace = Pace(control, clock_s=lambda: clock.now_s, sleep=clock.sleep)
    assert pace.ahead_s(16 * MIB) > 10
    control.rate_bytes_s = 1024 * MIB
    assert pace.ahead_s(16 * MIB) < 0.1
    control.rate_bytes_s = None
    assert pace.ahead_s(32 * MIB) == 0


def test_time_that_passed_is_no_credit() -> None:
    control, clock = Control(rate_bytes_s=MIB), Clock()
    pace = Pace(control, clock_s=lambda: clock.now_s, sleep=clock.sleep)
    clock.now_s += 3600
    pace.ahead_s(MIB)
    assert pace.ahead_s(2 * MIB) > 1


def test_slow_copies_move_small_chunks() -> None:
    assert Pace(Control()).chunk == CHUNK
    assert Pace(Control(rate_bytes_s=MIB)).chunk == MIB // 8
    assert Pace(Control(rate_bytes_s=10**12)).chunk == CHUNK
