"""Judges an accepted job against the inventory, in one transaction that holds its row.

A refusal ends the job with ZStack's ErrorCode; otherwise its items are written, with every uuid
they will need, and a base set is asked for.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row

from app.domain.errors import CloneError, ResourceNotFound
from app.domain.plan import CloneStrategy
from app.log_fields import log_fields
from app.queue import TaskName, host_queue
from app.store import base_sets, jobs, judging, quotas, removals, sources
from app.store import operations as store_operations
from app.store.codec import spec_to_json
from app.store.jobs import Minted
from app.store.models import REMOVALS, JobKind, QuotaName
from app.store.wishes import check_shares
from app.zstack import results
from workers import operations
from workers.context import WorkerContext
from workers.operations import FirstStart

log = logging.getLogger(__name__)

UUID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Judged:
    base_set_uuid: str | None = None
    host_uuid: str | None = None
    granted: Mapping[str, Sequence[str]] = field(default_factory=dict)  # removals, by host
    finishing: bool = False  # nothing is left to wait for


def start_jobs(job_uuids: Sequence[str], worker: WorkerContext) -> None:
    """One after the other; what one that raises leaves the sweeper publishes again, each alone."""
    for job_uuid in job_uuids:
        with log_fields(job_uuid=job_uuid):
            start_job(job_uuid, worker)


def start_job(job_uuid: str, worker: WorkerContext) -> None:
    """Safe to call twice: only an Accepted job is judged, by whoever holds its row."""
    judged = worker.database.run(lambda connection: _judge(connection, job_uuid))
    if judged is None:
        return
    log.info("job judged")
    for host_uuid, item_uuids in judged.granted.items():
        worker.wake_host(host_uuid, item_uuids)
    if judged.finishing:
        worker.publish(TaskName.FINISH, job_uuid)
    if judged.base_set_uuid and judged.host_uuid:
        worker.publish(
            TaskName.PREPARE_BASE, judged.base_set_uuid, queue=host_queue(judged.host_uuid)
        )
    worker.publish(TaskName.SCHEDULE)


def _judge(connection: Connection, job_uuid: str) -> Judged | None:
    job = jobs.lock_accepted(connection, job_uuid)
    if job is None:
        return None
    if job.kind is not JobKind.CLONE:
        return _judge_operation(connection, job)
    try:
        judged = judging.judge(connection, job.request, job.vm_instance_uuid, job.account_uuid)
    except CloneError as error:
        return _refuse(connection, job_uuid, error)
    jobs.begin(
        connection,
        job_uuid,
        names=judged.request.names,
        minted=Minted(volumes=judged.volumes, nics=judged.nics),
        spec=spec_to_json(judged.spec),
        ignored=judged.ignored,
    )
    quotas.note_need(connection, job_uuid, judged.need)
    if judged.spec.strategy is CloneStrategy.JUST_CREATE:
        return Judged()
    base_set = base_sets.ask(connection, job_uuid, judged.spec)
    return Judged(base_set, base_sets.host_of(connection, base_set) if base_set else None)


def _judge_operation(connection: Connection, job: Row[Any]) -> Judged:
    kind, uuid = job.kind, job.vm_instance_uuid
    try:
        with connection.begin_nested():
            if kind in REMOVALS:
                if uuid == removals.OUR_OWN:
                    vms = job.request["vmInstanceUuids"]
                else:
                    vms = _one_to_remove(connection, kind, uuid, job.account_uuid)
                granted = removals.begin(connection, job.uuid, kind, vms)
                return Judged(granted=granted, finishing=not granted)
            vm = operations.hold_vm(connection, kind, uuid, job.account_uuid)
            begun = operations.judge(connection, job.uuid, kind, vm, job.request)
            if isinstance(begun, FirstStart):
                return _start_first(connection, job.uuid, begun)
    except CloneError as error:
        return _refuse(connection, job.uuid, error)
    if begun.item_uuid is None:
        return Judged(finishing=True)
    return Judged(granted={begun.host_uuid: [begun.item_uuid]} if begun.host_uuid else {})


def _one_to_remove(
    connection: Connection, kind: JobKind, uuid: str, account_uuid: str
) -> list[str]:
    """None to remove is as good as removed. Raises as `operations.hold_vm`."""
    if not UUID.fullmatch(uuid):
        raise ResourceNotFound(
            f"invalid field[uuid], resource[uuid:{uuid}, type:VmInstanceVO] not found"
        )
    try:
        operations.hold_vm(connection, kind, uuid, account_uuid)
    except ResourceNotFound:
        if kind is JobKind.EXPUNGE:
            raise
        return []
    return [uuid]


def _start_first(connection: Connection, job_uuid: str, start: FirstStart) -> Judged:
    # As when the record was asked for: a share may have been revoked since.
    source = judging.load_source(connection, start.source_uuid, start.vm.account_uuid)
    check_shares(connection, start.spec, source, start.vm.account_uuid)
    # The record itself counts already.
    need = sources.need_of(connection, source, start.spec) | {QuotaName.VM_TOTAL_NUM: 0}
    quotas.check(connection, start.vm.account_uuid, need)
    jobs.begin(
        connection,
        job_uuid,
        names=[start.vm.name],
        minted=Minted(
            volumes=judging.count_volumes(connection, source, start.spec),
            nics=len(start.spec.nics or source.nics),
        ),
        spec=spec_to_json(start.spec),
        ignored=(),
    )
    quotas.note_need(connection, job_uuid, need)
    store_operations.begin_first_start(connection, job_uuid, start.vm.uuid, source.uuid)
    base_set = base_sets.ask(connection, job_uuid, start.spec)
    return Judged(base_set, base_sets.host_of(connection, base_set) if base_set else None)


def _refuse(connection: Connection, job_uuid: str, error: CloneError) -> Judged:
    jobs.refuse(connection, job_uuid, error.error_code, results.error_result(error.error_code))
    return Judged()
