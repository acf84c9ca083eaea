"""Writes a job's result once, as it will be sent, when all its items have ended."""

import logging
from collections.abc import Sequence

from app.domain.errors import (
    ErrorCode,
    OperationCanceled,
    OperationFailed,
    OperationTimeout,
    SiblingFailed,
)
from app.domain.states import ItemState, JobOutcome, outcome_of
from app.store import jobs
from app.store.jobs import EndedItem, EndedJob, Result
from app.store.models import REMOVALS, JobKind
from app.store.queries import read
from app.zstack import results
from workers.context import WorkerContext

log = logging.getLogger(__name__)

# Errors of a whole job, not of a name: with no clone standing the job itself failed.
_WHOLE = (OperationCanceled.code, OperationTimeout.code)
# A made item succeeds in the very transaction that stores the result.
_STANDS = frozenset({ItemState.SUCCEEDED, ItemState.MADE})


def finish_job(job_uuid: str, worker: WorkerContext) -> None:
    """Safe to call twice: only a Finishing job is finished, in one transaction."""
    with worker.database.engine.connect() as connection:
        ended = jobs.ended_items(connection, job_uuid)
        if ended is None:
            return
        stand = [item.vm_uuid for item in ended.items if item.state in _STANDS]
        records = read.load(connection, results.VM_SHAPE, stand)
    inventories = {record.values["uuid"]: record for record in records}
    entries: list[results.Entry] = [
        inventories[item.vm_uuid]
        if item.state in _STANDS and item.vm_uuid in inventories
        else item.error or OperationFailed().error_code
        for item in ended.items
    ]
    if ended.kind is JobKind.CLONE:
        result = _result(ended, entries)
    elif ended.kind in REMOVALS:
        result = _removed(ended)
    else:
        result = _operated(ended, entries[0])
    if worker.database.run(lambda connection: jobs.finish(connection, job_uuid, result)):
        log.info("job finished", extra={"outcome": result.outcome})


def _result(ended: EndedJob, entries: Sequence[results.Entry]) -> Result:
    outcome = _outcome(ended)
    error = ended.error or _common_error(ended.items)
    if error is None and ended.all_or_nothing and outcome is JobOutcome.FAILED:
        error = _nothing(ended.items)
    if error and outcome in {JobOutcome.FAILED, JobOutcome.CANCELED}:
        return Result(503, results.error_result(error), None, outcome, error)
    return Result(
        200, results.clone_result(entries), results.clone_schema(entries), outcome, ended.error
    )


def _common_error(ended: list[EndedItem]) -> ErrorCode | None:
    """Cancel or deadline, where that ended every name."""
    codes = {item.error.code if item.error else None for item in ended}
    if len(codes) == 1 and codes <= set(_WHOLE):
        return ended[0].error
    return None


def _operated(ended: EndedJob, entry: results.Entry) -> Result:
    """The one VM as it is now."""
    outcome = _outcome(ended)
    if isinstance(entry, ErrorCode):
        return Result(503, results.error_result(entry), None, outcome, entry)
    return Result(200, results.vm_result(entry), results.vm_schema(entry), outcome)


def _removed(ended: EndedJob) -> Result:
    """What ZStack answers to a VM that was destroyed; who asks for many looks at the items."""
    outcome = _outcome(ended)
    error = ended.error or next((item.error for item in ended.items if item.error), None)
    if error and outcome in {JobOutcome.FAILED, JobOutcome.CANCELED}:
        return Result(503, results.error_result(error), None, outcome, error)
    return Result(200, results.empty_result(), None, outcome)


def _outcome(ended: EndedJob) -> JobOutcome:
    return outcome_of(
        total=len(ended.items),
        succeeded=sum(item.state in _STANDS for item in ended.items),
        canceled=sum(item.state is ItemState.CANCELED for item in ended.items),
    )


def _nothing(ended: list[EndedItem]) -> ErrorCode:
    """Why an all-or-nothing job came to nothing: the failure that was no sibling's."""
    errors = [item.error for item in ended if item.error]
    first = next((e for e in errors if SiblingFailed.code not in (e.code, _cause(e))), errors[0])
    return ErrorCode(
        code=OperationFailed.code,
        description=OperationFailed.description,
        details=f"the job's policy is allOrNothing, and one of its {len(ended)} names failed: "
        f"{first.details}",
        cause=first,
    )


def _cause(error: ErrorCode) -> str | None:
    return error.cause.code if error.cause else None
