"""One seed: what is asked for, what breaks and when, all drawn from the seed; then the run."""

import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from app.domain.plan import CloneStrategy
from tests.chaos.arena import LEASE_S, Arena, Place
from tests.chaos.audit import Outcome, findings_after
from tests.chaos.client import Api, Caller, Request
from tests.chaos.faults import KINDS, Fault, KillApi
from tests.chaos.recovery import Probe, Recoveries, Watched

FAULTS_FROM_S, FAULTS_UNTIL_S = 1.5, 8.0
REQUESTS = 7
CERTAIN = 4  # faults that a seed has by its number; the others are drawn
DRAWN = 1
APART_S, REQUEST_EVERY_S = 9.0, 1.2
TICK_S = 0.05
END_LIMIT_S = LEASE_S + 90
SLOW_S = 0.08  # at most, for each call on a storage's files: so that faults find work under way


@dataclass(frozen=True, slots=True)
class Planned:
    at_s: float
    lasts_s: float
    kind: type[Fault]


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    kinds: tuple[type[Fault], ...]  # what this machine can do
    faults: tuple[Planned, ...]
    requests: tuple[Request, ...]

    def lines(self) -> list[str]:
        return [
            *(f"{f.at_s:6.2f} {f.kind.name} for {f.lasts_s:.2f} s" for f in self.faults),
            *(
                f"{r.at_s:6.2f} request {r.uuid}: {len(r.names)} names at {r.place}, "
                f"{r.parameters['strategy']}, {' '.join(r.parameters['systemTags'])}"
                f"{', full' if r.parameters['full'] else ''}"
                f"{f', cancelled after {r.cancel_after_s:.2f} s' if r.cancel_after_s else ''}"
                for r in self.requests
            ),
        ]


def plan(
    seed: int, places: Sequence[Place], kinds: Sequence[type[Fault]], *, apart: bool = False
) -> Plan:
    """The same for the same arguments. Five seeds in a row have every kind. `apart`: each fault
    has time to be recovered from before the next one, so that this can be measured. A few kinds
    alone come again and again."""
    rng = random.Random(seed)
    chosen = [kinds[(seed * CERTAIN + n) % len(kinds)] for n in range(CERTAIN)]
    if len(kinds) > CERTAIN:
        chosen = list(dict.fromkeys([*chosen, *rng.sample(list(kinds), DRAWN)]))
    begins_s = [rng.uniform(FAULTS_FROM_S, FAULTS_UNTIL_S) for _ in chosen]
    requests_s = [0.0, *(rng.uniform(0, FAULTS_UNTIL_S - 2) for _ in range(REQUESTS - 1))]
    if apart:
        rng.shuffle(chosen)
        begins_s = [FAULTS_FROM_S + APART_S * n + rng.random() for n in range(len(chosen))]
        requests_s = [n * REQUEST_EVERY_S for n in range(int(begins_s[-1] / REQUEST_EVERY_S) + 1)]
    faults = [
        Planned(begin_s, rng.uniform(*kind.lasts_s), kind)
        for begin_s, kind in zip(begins_s, chosen, strict=True)
    ]
    requests = [_request(rng, seed, n, at_s, places) for n, at_s in enumerate(requests_s)]
    return Plan(seed, tuple(kinds), tuple(sorted(faults, key=lambda f: f.at_s)), tuple(requests))


def _request(
    rng: random.Random, seed: int, number: int, at_s: float, places: Sequence[Place]
) -> Request:
    place = rng.choice(list(places))
    strategies = [CloneStrategy.INSTANT_START] * 6 + [CloneStrategy.CREATE_STOPPED] * 3
    return Request(
        uuid=f"{rng.getrandbits(128):032x}",
        at_s=at_s,
        vm_uuid=place.vm_uuid,
        place=place.name,
        parameters={
            "names": [f"s{seed}-r{number}-{n}" for n in range(rng.randint(5, 15))],
            "strategy": str(rng.choice([*strategies, CloneStrategy.JUST_CREATE])),
            "full": rng.random() < 0.5,
            "systemTags": [f"cloneMode::{rng.choice(place.modes)}"],
        },
        cancel_after_s=rng.uniform(0.2, 4) if rng.random() < 0.15 else None,
    )


@dataclass
class Run:
    """A finished seed."""

    plan: Plan
    names: int = 0
    faults: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    settled_s: float = 0.0  # from the last fault's end until nothing was left to do


class Monkey:
    def __init__(
        self, arena: Arena, planned: Plan, recoveries: Recoveries, say: Callable[[str], None]
    ) -> None:
        self._arena = arena
        self._plan = planned
        self._recoveries = recoveries
        self._rng = random.Random(planned.seed + 1)
        self._began_s = time.monotonic()
        self._tell = say
        self._active: list[tuple[float, Fault]] = []
        self._allowed: set[str] = set()
        self.run = Run(planned)

    def go(self) -> Run:
        """Everything of the plan took place, the faults are over, and what they left was looked
        at."""
        arena, give_up = self._arena, threading.Event()
        arena.ask_storage(slow_s=SLOW_S)
        api = Api(f"http://127.0.0.1:{arena.stack.settings.port}")
        answer = api.log_in()
        if answer.status != 200:
            self.run.findings.append(f"cannot log in: {answer}")
            return self.run
        callers = [Caller(api, r, give_up, self._say) for r in self._plan.requests]
        self._began_s = time.monotonic()
        for caller in callers:
            caller.start()
        try:
            self._break_things()
            arena.ask_storage(slow_s=0.0)
            ended = self._wait_for_end(callers)
        finally:
            give_up.set()
            for caller in callers:
                caller.join()
        self.run.names = sum(len(caller.request.names) for caller in callers)
        for caller in callers:
            self.run.findings += caller.findings
        if ended:
            outcomes = [
                Outcome(c.request, c.final, c.cancelled) for c in callers if c.final is not None
            ]
            self.run.findings += findings_after(arena, api, outcomes, frozenset(self._allowed))
        return self.run

    def _say(self, text: str) -> None:
        line = f"{time.monotonic() - self._began_s:6.2f} {text}"
        self.run.log.append(line)
        self._tell(line)

    def _break_things(self) -> None:
        waiting = list(self._plan.faults)
        while waiting or self._active:
            now_s = time.monotonic() - self._began_s
            self._end_those_due(now_s)
            while waiting and waiting[0].at_s <= now_s:
                self._begin(waiting.pop(0))
            self._watch()

    def _watch(self) -> None:
        self._arena.keep()
        self._recoveries.look(self._arena.ledger.open_work())
        time.sleep(TICK_S)

    def _begin(self, planned: Planned) -> None:
        fault = planned.kind()
        self._recoveries.interfere()
        fault.begin(self._arena, self._rng)
        running = [w for w in self._arena.ledger.open_work() or () if w.owner]
        self._say(f"{fault.name}: begins{_number(fault)}, {len(running)} in hand")
        self.run.faults.append(fault.name)
        self._recoveries.counts[fault.name] += 1
        self._allowed |= fault.allows
        self._active.append((planned.at_s + planned.lasts_s, fault))

    def _end_those_due(self, now_s: float) -> None:
        for entry in [e for e in self._active if e[0] <= now_s]:
            self._active.remove(entry)
            fault = entry[1]
            fault.end(self._arena)
            if fault.lasts_s != (0.0, 0.0):
                self._say(f"{fault.name}: over{_number(fault)}")
            self._recoveries.watch(self._recovery_of(fault))

    def _recovery_of(self, fault: Fault) -> Watched | Probe:
        now_s = time.monotonic()
        alone = not self._active and not self._recoveries.pending()
        if isinstance(fault, KillApi):
            return Probe(fault.name, now_s, partial(KillApi.answers, self._arena), alone)
        left = {work.uuid: work for work in fault.hit}
        return Watched(fault.name, now_s, left, type(fault).moved, alone)

    def _wait_for_end(self, callers: Sequence[Caller]) -> bool:
        """Every job and all that it began has ended; False past the limit."""
        since_s = time.monotonic()
        while True:
            self._watch()
            left = self._arena.ledger.unfinished()
            open_callers = [caller for caller in callers if caller.is_alive()]
            if left == [] and not open_callers:
                self.run.settled_s = time.monotonic() - since_s
                self._say("all has ended")
                return True
            if time.monotonic() - since_s > END_LIMIT_S:
                self.run.findings += [
                    f"not ended after {END_LIMIT_S:.0f} s: {x}" for x in left or ()
                ]
                self.run.findings += [f"still polls {c.request.uuid}" for c in open_callers]
                return False


def _number(fault: Fault) -> str:
    return f" ({len(fault.hit)} hit)" if fault.hit else ""


def possible_kinds(arena: Arena, only: Collection[str] = ()) -> list[type[Fault]]:
    """`only`: of these names; without any, of all."""
    return [kind for kind in KINDS if kind.possible(arena) and (not only or kind.name in only)]
