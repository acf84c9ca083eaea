"""Runs one item: the next step, its record, then retry or rollback.

The order of events is the rule: the claim, then the host's lock, then each step and its record.
Whoever loses the lease, or the database, touches nothing more; whoever finds the item next skips
the recorded steps and does the others again.
"""

import logging
import time
from collections.abc import Sequence

import orjson

from app.domain.errors import (
    CloneError,
    OperationCanceled,
    OperationFailed,
    TooManyLapses,
)
from app.domain.operation import OperationPlan
from app.domain.plan import CloneMethod, ClonePlan, CloneStrategy
from app.domain.removal import RemovalPlan
from app.domain.retry import MAX_LAPSES, stranded_delay_s
from app.domain.states import ItemState
from app.domain.steps import StepName
from app.log_fields import add_log_fields
from app.queue import TaskName
from app.store import bases, items, jobs
from app.store.items import StepRecord
from app.store.leases import Claim, LeaseLost
from app.store.models import VmState
from app.store.session import DATABASE_AWAY
from workers.context import StepContext, WorkerContext
from workers.lease import Draining, Lease
from workers.operations import operate
from workers.recipe import steps_for
from workers.remover import remove_vm
from workers.retrying import put_off
from workers.steps.base import Step

log = logging.getLogger(__name__)


def run(claim: Claim, lease: Lease, worker: WorkerContext) -> bool | None:
    """Take the item as far as it goes now. Once it is at rest, whether it was the last open one of
    its job; None where it goes on later."""
    if isinstance(claim.plan, RemovalPlan):
        return remove_vm(claim, claim.plan, lease, worker)
    if isinstance(claim.plan, OperationPlan):
        return operate(claim, claim.plan, lease, worker)
    return ItemRun(claim, claim.plan, lease, worker).go()


class ItemRun:
    """One claim of an item."""

    def __init__(self, claim: Claim, plan: ClonePlan, lease: Lease, worker: WorkerContext) -> None:
        self._claim = claim
        self._plan = plan
        self._lease = lease
        self._worker = worker
        self._ctx = StepContext(
            plan,
            worker,
            lease,
            take_base=lambda volume: bases.hand_over(worker.database, claim, volume),
        )

    def go(self) -> bool | None:
        claim, plan = self._claim, self._plan
        assert claim.step is not None  # the grant set it
        if claim.state is ItemState.ROLLING_BACK:
            return self._take_back(claim.step, claim.ends_as or ItemState.FAILED)
        if claim.lapses > MAX_LAPSES:
            return self._roll_back(claim.step, TooManyLapses())
        return self._run_steps(steps_for(plan.steps))

    def _run_steps(self, steps: Sequence[Step]) -> bool | None:
        facts = [dict(self._claim.done.get(step.name, {})) for step in steps]
        for number, step in enumerate(steps):
            if step.name in self._claim.done:
                continue
            add_log_fields(step=step.name)
            try:
                self._lease.checkpoint()
                self._lease.begin_step()
                began_s = time.monotonic()
                result = step.do(self._plan, self._ctx)
            except Draining:
                items.hand_back(self._worker.database, self._claim)
                return None
            except (LeaseLost, *DATABASE_AWAY):
                raise
            except Exception as error:
                return self._failed(step.name, error)
            facts[number] = result.facts
            elapsed_s = time.monotonic() - began_s
            log.debug("step done", extra={"elapsed_s": round(elapsed_s, 6)})
            record = StepRecord(
                step=step.name,
                elapsed_s=elapsed_s,
                bytes_done=self._lease.bytes_done,
                facts=orjson.dumps(result.facts).decode(),
            )
            if step is steps[-1]:
                return self._succeed(record, [v for f in facts for v in f.get("volumes", ())])
            items.record_step(
                self._worker.database,
                self._claim,
                record,
                next_step=steps[number + 1].name,
                cdroms=result.cdroms,
                tags=result.tags,
            )
        raise AssertionError("an item's last step ends it, so one is always left")

    def _succeed(self, record: StepRecord, volumes: list[dict[str, object]]) -> bool:
        plan = self._plan
        starts = plan.strategy is CloneStrategy.INSTANT_START
        root = next((v for v in volumes if v["uuid"] == plan.root_volume.uuid), None)
        return items.succeed(
            self._worker.database,
            self._claim,
            record,
            vm_state=VmState.RUNNING if starts else VmState.STOPPED,
            method=str(root["method"]) if root else CloneMethod.AUTO,
            volumes=orjson.dumps(volumes).decode(),
            asks_guest=starts and plan.identity is not None,
        )

    def _failed(self, step: StepName, error: Exception) -> bool | None:
        """A step raised: again later if it may pass, otherwise taken back."""
        lasting = put_off(self._claim, error, self._worker)
        return None if lasting is None else self._roll_back(step, lasting)

    def _roll_back(self, step: StepName, error: CloneError) -> bool | None:
        canceled = isinstance(error, OperationCanceled)
        ends_as = ItemState.CANCELED if canceled else ItemState.FAILED
        if not canceled:
            error = OperationFailed(
                f"unable to create vm[name:{self._plan.vm_name}]: {error.details}",
                cause=error,
                step=step,
            )
        items.begin_rollback(self._worker.database, self._claim, step, ends_as, error)
        return self._take_back(step, ends_as)

    def _take_back(self, failed: StepName, ends_as: ItemState) -> bool | None:
        """Undo from the failed step backwards, past a failing undo, except that volumes stay
        until everything that may have them open is proved gone."""
        self._lease.begin_undo()
        order = tuple(StepName)
        begun = [
            step
            for step in steps_for(self._plan.steps)
            if order.index(step.name) <= order.index(failed)
        ]
        failures: list[str] = []
        for step in reversed(begun):
            if failures and step.removes_volumes:
                continue
            add_log_fields(step=step.name)
            try:
                self._lease.checkpoint()
                self._lease.begin_step()
                step.undo(self._plan, self._ctx)
                items.record_undo(self._worker.database, self._claim, step.name)
            except Draining:
                items.hand_back_rollback(self._worker.database, self._claim)
                return None
            except (LeaseLost, *DATABASE_AWAY):
                raise
            except Exception as error:
                log.exception("undo failed")
                failures.append(f"{step.name}: {getattr(error, 'details', 'internal error')}")
        if failures:
            delay_s = stranded_delay_s(self._claim.lapses + 1, self._worker.rng)
            return items.strand(
                self._worker.database, self._claim, delay_s=delay_s, failures=failures
            )
        return items.end_rolled_back(self._worker.database, self._claim, ends_as)


def publish_end(worker: WorkerContext, job_uuid: str, complete: bool) -> None:
    """The last item of a job sends it to its finish, as the sweeper would later."""
    if complete and worker.database.run(lambda c: jobs.begin_finishing(c, job_uuid)):
        worker.publish(TaskName.FINISH, job_uuid)
