"""Every fault: how it begins, how it ends, and what it hit.

`begin` and `end` are called once each, in this order, whatever else is broken at that moment.
"""

import errno
import os
import random
import shutil
import signal
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import redis

from app.endpoints import broker_url
from tests.chaos.arena import LEASE_S, Arena
from tests.chaos.processes import Aim
from tests.chaos.work import (
    Moved,
    Work,
    alive_again,
    held_by,
    pid_of,
    published_again,
    taken_up,
)

FULL = "PS.1000"


@dataclass
class Fault(ABC):
    """`lasts_s` is from its begin to its end."""

    name: ClassVar[str]
    does: ClassVar[str]  # for the table
    lasts_s: ClassVar[tuple[float, float]] = (0.0, 0.0)
    moved: ClassVar[Moved] = taken_up
    allows: ClassVar[frozenset[str]] = frozenset()  # error codes that names may now end with
    lets_work_begin: ClassVar[bool] = True
    hit: list[Work] = field(default_factory=list)

    @classmethod
    def possible(cls, arena: Arena) -> bool:
        return True

    @abstractmethod
    def begin(self, arena: Arena, rng: random.Random) -> None: ...

    def end(self, arena: Arena) -> None:  # noqa: B027 - what has no end
        """The fault is over; `hit` is complete."""


class KillWorker(Fault):
    name, does = "kill worker", "SIGKILL to all processes of one of two workers"

    def begin(self, arena: Arena, rng: random.Random) -> None:
        self._kill(arena, [rng.randrange(2)])

    def _kill(self, arena: Arena, numbers: Iterable[int]) -> None:
        for number in numbers:
            aim = arena.worker(number)
            aim.send(signal.SIGKILL)
            self.hit += held_by(arena.ledger.open_work() or (), aim.pids)
            aim.close()


class KillAllWorkers(KillWorker):
    name, does = "kill all workers", "SIGKILL to all processes of both workers"

    def begin(self, arena: Arena, rng: random.Random) -> None:
        self._kill(arena, [0, 1])


class KillChild(Fault):
    name, does = "kill child", "SIGKILL to one process in the middle of a clone"

    def begin(self, arena: Arena, rng: random.Random) -> None:
        aim = busy_child(arena, rng)
        aim.send(signal.SIGKILL)
        self.hit = held_by(arena.ledger.open_work() or (), aim.pids)
        aim.close()


class StopWorker(Fault):
    name, does = "stop worker", "SIGTERM to one of two workers"

    def begin(self, arena: Arena, rng: random.Random) -> None:
        number = rng.randrange(2)
        everyone, agent = arena.worker(number), arena.agent(number)
        self.hit = held_by(arena.ledger.open_work() or (), everyone.pids)
        agent.send(signal.SIGTERM)
        for aim in (everyone, agent):
            aim.close()


class FreezeChild(Fault):
    name, does = "freeze child", "SIGSTOP to one process in the middle of a clone, past its lease"
    lasts_s = (LEASE_S + 0.5, LEASE_S + 2)

    def begin(self, arena: Arena, rng: random.Random) -> None:
        self._aim = busy_child(arena, rng)
        self._stop(arena)

    def _stop(self, arena: Arena) -> None:
        self._aim.send(signal.SIGSTOP)
        self.hit = held_by(arena.ledger.open_work() or (), self._aim.pids)

    def end(self, arena: Arena) -> None:
        self._aim.send(signal.SIGCONT)
        self._aim.close()


class FreezeWorker(FreezeChild):
    name, does = "freeze worker", "SIGSTOP to all processes of one of two workers, past the lease"

    def begin(self, arena: Arena, rng: random.Random) -> None:
        self._aim = arena.worker(rng.randrange(2))
        self._stop(arena)


class KillApi(Fault):
    name, does = "kill API", "SIGKILL; until it answers again"

    def begin(self, arena: Arena, rng: random.Random) -> None:
        arena.api().send(signal.SIGKILL)

    @staticmethod
    def answers(arena: Arena) -> bool:
        try:
            url = f"http://127.0.0.1:{arena.stack.settings.port}/healthz"
            with urllib.request.urlopen(url, timeout=0.2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class FlushBroker(Fault):
    name, does = "FLUSHALL", "every message is gone"
    moved = published_again

    def begin(self, arena: Arena, rng: random.Random) -> None:
        with suppress(redis.RedisError):
            client = redis.Redis.from_url(broker_url(arena.stack.settings), socket_timeout=2)
            client.flushall()
            client.close()
        self.hit = waiting(arena)


class WipeBroker(Fault):
    name, does = "wipe Valkey", "SIGKILL, its append-only file removed"
    moved = published_again

    def begin(self, arena: Arena, rng: random.Random) -> None:
        valkey = arena.valkey()
        shutil.rmtree(arena.home / "valkey" / "appendonlydir", ignore_errors=True)
        valkey.send(signal.SIGKILL)
        valkey.close()
        self.hit = waiting(arena)


class RestartPostgres(Fault):
    name, does = "restart PostgreSQL", "immediate shutdown"
    moved = alive_again

    def begin(self, arena: Arena, rng: random.Random) -> None:
        self.hit = [w for w in arena.ledger.open_work() or () if w.owner]
        self._stop(arena)

    def _stop(self, arena: Arena) -> None:
        server = arena.postgres()
        server.send(signal.SIGQUIT)
        server.close()


class StopPostgres(RestartPostgres):
    name, does = "PostgreSQL away", "immediate shutdown, started again after more than a lease"
    lasts_s = (LEASE_S + 0.5, LEASE_S + 1.5)

    def begin(self, arena: Arena, rng: random.Random) -> None:
        self._supervisor = arena.supervisor()
        self._supervisor.send(signal.SIGSTOP)  # or it would be back at once
        super().begin(arena, rng)

    def end(self, arena: Arena) -> None:
        self._supervisor.send(signal.SIGCONT)
        self._supervisor.close()


class StorageErrors(Fault):
    number: ClassVar[int]
    lasts_s = (1.0, 2.5)

    def begin(self, arena: Arena, rng: random.Random) -> None:
        arena.ask_storage(errno=self.number, rate=rng.choice((0.05, 0.3, 1.0)))

    def end(self, arena: Arena) -> None:
        arena.ask_storage(errno=None)
        self.hit = troubled(arena)


class NoSpace(StorageErrors):
    name, does = "ENOSPC", "writes to storages fail now and then"
    number = errno.ENOSPC
    allows = frozenset({FULL})


class IoErrors(StorageErrors):
    name, does = "EIO", "writes, syncs and removals on storages fail now and then"
    number = errno.EIO


class FullDisk(Fault):
    name, does = "full disk", "a storage's file system has not a block left"
    lasts_s = (1.5, 3.0)
    allows = frozenset({FULL})

    @classmethod
    def possible(cls, arena: Arena) -> bool:
        return any(place.name == "tmpfs" for place in arena.places)

    def begin(self, arena: Arena, rng: random.Random) -> None:
        self._ballast = arena.place("tmpfs").folder / "ballast"
        with suppress(OSError), self._ballast.open("wb", buffering=0) as stream:
            while stream.write(bytes(1 << 16)):
                pass

    def end(self, arena: Arena) -> None:
        self._ballast.unlink(missing_ok=True)
        self.hit = troubled(arena)


class Unmount(Fault):
    name, does = "unmounted", "a storage without its marker"
    lasts_s = (1.0, 3.0)

    def begin(self, arena: Arena, rng: random.Random) -> None:
        root = rng.choice(arena.places).root
        self._marker, self._away = root / ".vmclone-storage", Path(f"{root}.marker")
        with suppress(FileNotFoundError):  # not made yet
            os.rename(self._marker, self._away)

    def end(self, arena: Arena) -> None:
        with suppress(FileNotFoundError):
            os.rename(self._away, self._marker)
        self.hit = troubled(arena)


class DeliverTwice(Fault):
    name, does = "deliver twice", "every message comes twice"
    lasts_s = (3.0, 6.0)

    def begin(self, arena: Arena, rng: random.Random) -> None:
        arena.ask_storage(twice=True)

    def end(self, arena: Arena) -> None:
        arena.ask_storage(twice=False)


KINDS: tuple[type[Fault], ...] = (
    KillWorker,
    FlushBroker,
    NoSpace,
    StopPostgres,
    DeliverTwice,
    KillAllWorkers,
    WipeBroker,
    IoErrors,
    RestartPostgres,
    FreezeChild,
    KillChild,
    KillApi,
    FullDisk,
    FreezeWorker,
    StopWorker,
    Unmount,
)


def busy_child(arena: Arena, rng: random.Random) -> Aim:
    """A process that holds an item; where none does, any of a worker."""
    pids = {pid for w in arena.ledger.open_work() or () if (pid := pid_of(w))}
    workers = [pid for number in (0, 1) for pid in sorted(arena.worker(number).pids)]
    candidates = [pid for pid in workers if pid in pids] or workers
    return Aim([rng.choice(candidates)] if candidates else [])


def waiting(arena: Arena) -> list[Work]:
    """What only a message keeps going."""
    return [w for w in arena.ledger.open_work() or () if w.state in {"Granted", "Wanted"}]


def troubled(arena: Arena) -> list[Work]:
    """What waits for another try, of going on or of taking back."""
    return [
        w
        for w in arena.ledger.open_work() or ()
        if w.state == "Stranded" or (w.state == "Granted" and w.fence)
    ]
