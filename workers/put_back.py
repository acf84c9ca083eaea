"""Puts a running source's disks back where they were before its snapshot.

The domain is looked at disk by disk, and each look leads to one next thing (`next_action`), so it
makes no difference who was at it before and how far. Cancellation, deadlines and limits do not
count here, and there is no last try.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from app.domain.errors import (
    CloneError,
    DomainBusy,
    InternalError,
    OperationFailed,
    SourceVolumeBusy,
)
from app.domain.snapshots import Action, FrozenDisk, next_action
from app.queue import TaskName
from app.store import debts, hosts
from app.store.debts import DebtClaim
from app.store.leases import LeaseLost
from app.store.session import DATABASE_AWAY
from workers.context import WorkerContext
from workers.holding import holding
from workers.hypervisors.snapshots import Snapshots
from workers.lease import Draining, Lease
from workers.storage import overlays

log = logging.getLogger(__name__)

LOOK_S = 0.05
CONVERGE_S = 60.0  # before a guest that writes faster than its disk is put back is held
SUSPEND_S = 2.0  # at most, each time
DRAIN_S = 20.0  # a worker that stops goes on for so long: it may be the last one for long
TRIES = 5  # of one thing in one run
MOST_DELAY_S = 60.0

_ENDS = frozenset({Action.DONE, Action.LINGER})
_LEAVES = frozenset({Action.PIVOT, Action.PIVOT_HIDDEN, Action.COMMIT_BELOW})


def put_back(base_set_uuid: str, worker: WorkerContext) -> None:
    """Pay what the set owes, if it owes anything and nobody is at it. Safe to call twice, late."""
    lease_s = worker.settings.lease_s
    held = holding(
        worker,
        claim=lambda: debts.claim(
            worker.database, base_set_uuid, owner=worker.name, lease_s=lease_s
        ),
        beat=lambda claim, _: debts.beat(worker.beats, claim, lease_s=lease_s),
        hand_back=lambda claim: debts.hand_back(worker.database, claim),
    )
    paid = False
    with held as mine:
        if mine is not None:
            paid = _pay_or_retry(mine.claim, mine.lease, worker)
    if paid:
        jobs = debts.finishing(worker.database, base_set_uuid)
        if jobs:
            worker.publish(TaskName.FINISH, *jobs)
        worker.wake_scheduler(at_once=True)


def _pay_or_retry(claim: DebtClaim, lease: Lease, worker: WorkerContext) -> bool:
    try:
        Repayment(claim, lease, worker).run()
    except (LeaseLost, *DATABASE_AWAY):
        raise
    except Draining:
        debts.hand_back(worker.database, claim)
        return False
    except Exception as error:
        _retry(claim, error, worker)
        return False
    return True


def _retry(claim: DebtClaim, error: Exception, worker: WorkerContext) -> None:
    if isinstance(error, CloneError):
        log.warning("not put back yet: %s", error.details, extra={"vm": claim.vm_uuid})
    else:
        log.exception("putting back failed unexpectedly", extra={"vm": claim.vm_uuid})
        error = InternalError()
    delay_s = min(MOST_DELAY_S, 2.0 ** min(claim.tries, 6)) * worker.rng.uniform(0.75, 1.25)
    debts.retry_later(worker.database, claim, error, delay_s=delay_s)


class Repayment:
    """One worker's run at a debt."""

    def __init__(self, claim: DebtClaim, lease: Lease, worker: WorkerContext) -> None:
        self._claim = claim
        self._lease = lease
        self._database = worker.database
        with worker.database.single() as connection:
            host = hosts.ref(connection, claim.host_uuid)
        driver = worker.hypervisor(host).snapshots
        assert driver is not None  # it took the snapshot
        self._driver: Snapshots = driver
        self._disks = {disk.target: disk for disk in claim.disks}
        self._done: dict[tuple[str, Action], int] = {}
        self._draining_since_s: float | None = None
        self._converge_s = CONVERGE_S
        self._hold_at_s = time.monotonic() + CONVERGE_S
        self._moved = 0

    def run(self) -> None:
        """Raises the error of a disk that cannot be put back now, once all others are."""
        self._lease.begin_undo()
        self._let_guest_run()
        ends = self._all_to_their_ends()
        disks = tuple(self._disks.values())
        late = not self._claim.confirmed and not self._claim.paid
        if late or Action.LINGER in ends.values():
            # Who asked for the snapshot died, and libvirt may be about to take it.
            debts.linger(self._database, self._claim, disks)
        else:
            debts.settle(self._database, self._claim)

    def _let_guest_run(self) -> None:
        """Of what a dead worker, or libvirt, may have left standing still."""
        self._checkpoint()
        if self._claim.suspended:
            self._driver.resume(self._claim.domain_uuid)
            self._note(suspended=False)
        if not self._claim.confirmed:
            self._driver.thaw(self._claim.domain_uuid)

    def _all_to_their_ends(self) -> Mapping[str, Action]:
        ends: dict[str, Action] = {}
        stuck: dict[str, CloneError] = {}
        while pending := [t for t in self._disks if t not in ends and t not in stuck]:
            actions = {}
            for target in pending:
                try:
                    actions[target] = self._step(target)
                except (SourceVolumeBusy, DomainBusy, OperationFailed) as error:
                    stuck[target] = error
            ends |= {target: action for target, action in actions.items() if action in _ENDS}
            waiting = [t for t, action in actions.items() if action is Action.WAIT]
            if waiting and len(waiting) == len(actions) - len(ends.keys() & actions.keys()):
                self._wait(waiting)
        for reason in stuck.values():
            raise reason
        return ends

    def _step(self, target: str) -> Action:
        """Look at the disk and do the one thing that this leads to."""
        self._checkpoint()
        disk = self._disks[target]
        look = self._driver.look(
            self._claim.domain_uuid,
            disk,
            overlays.look(disk),
            confirmed=self._claim.confirmed,
        )
        action = next_action(look, leaving=disk.leaving)
        if action is Action.WAIT or action in _ENDS:
            return action
        tries = self._done[target, action] = self._done.get((target, action), 0) + 1
        if tries > TRIES:
            raise OperationFailed(
                f"disk {target} is not put back: {action} was done {TRIES} times without effect"
            )
        log.info("putting back", extra={"vm": self._claim.vm_uuid, "disk": target, "do": action})
        if action in _LEAVES and not disk.leaving:
            self._disks[target] = replace(disk, leaving=True)
            self._note(suspended=self._claim.suspended)
        self._lease.begin_step()
        self._do(action, self._disks[target])
        return action

    def _do(self, action: Action, disk: FrozenDisk) -> None:
        driver, domain = self._driver, self._claim.domain_uuid
        match action:
            case Action.COMMIT:
                driver.commit(domain, disk, below=False)
            case Action.COMMIT_BELOW:
                driver.commit(domain, disk, below=True)
            case Action.PIVOT:
                driver.pivot(domain, disk)
            case Action.COMMIT_HIDDEN:
                driver.commit_hidden(domain, disk)
            case Action.PIVOT_HIDDEN:
                driver.pivot_hidden(domain, disk)
            case Action.LET_GO:
                driver.let_go(domain, disk)
            case Action.COMMIT_OFFLINE:
                overlays.commit(disk, self._lease)
            case Action.REWRITE:
                driver.rewrite(domain, disk)
            case Action.REMOVE:
                overlays.remove(disk)
            case _:
                raise SourceVolumeBusy(self._hindrance(action, disk))

    def _hindrance(self, action: Action, disk: FrozenDisk) -> str:
        path, base = disk.overlay_path, disk.base.path
        if action is Action.COVERED:
            return (
                f"the source was stopped, and somebody else's snapshot stands on {path}: disk "
                f"{disk.target} is put back once the source runs, or that snapshot is gone"
            )
        if action is Action.DIVERGED:
            return (
                f"the source was started from {base} without what it had written to {path} since "
                f"it was copied: the two have gone apart, and only you can say which is right. "
                f"Save from {path} what you need, then remove it"
            )
        what = self._driver.describe(self._claim.domain_uuid, disk)
        return f"disk {disk.target} cannot be put back now: {what}"

    def _wait(self, waiting: list[str]) -> None:
        if time.monotonic() >= self._hold_at_s:
            self._pivot_under_suspend(waiting)
            self._converge_s *= 2
            self._hold_at_s = time.monotonic() + self._converge_s
            return
        moved = sum(self._driver.moved(self._claim.domain_uuid, self._disks[t]) for t in waiting)
        if moved != self._moved:
            self._moved = moved
            self._lease.begin_step()  # a long commit is no hanging one
        time.sleep(LOOK_S)

    def _pivot_under_suspend(self, waiting: list[str]) -> None:
        """A guest that writes faster than it is written back is stopped for a moment."""
        domain = self._claim.domain_uuid
        if not self._driver.runs(domain):
            return  # somebody else holds it, and may go on doing so
        self._note(suspended=True)
        try:
            self._driver.suspend(domain)
            until_s = time.monotonic() + SUSPEND_S
            while time.monotonic() < until_s and any(
                self._step(target) is Action.WAIT for target in waiting
            ):
                time.sleep(LOOK_S)
        finally:
            self._driver.resume(domain)
        self._note(suspended=False)

    def _note(self, *, suspended: bool) -> None:
        self._claim = replace(self._claim, suspended=suspended)
        debts.note(self._database, self._claim, tuple(self._disks.values()), suspended=suspended)

    def _checkpoint(self) -> None:
        try:
            self._lease.checkpoint()
        except Draining:
            now_s = time.monotonic()
            self._draining_since_s = self._draining_since_s or now_s
            if now_s - self._draining_since_s > DRAIN_S:
                raise
