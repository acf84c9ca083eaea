"""What people do to a clone job. Verbs on one that runs may be sent twice and answer with the job
as it is then; a retry makes a job of what no earlier retry has cloned or is about to clone."""

from collections.abc import Callable, Sequence

from aiohttp import web
from sqlalchemy import Connection

from app.api.asked import RemovalAsked
from app.api.callers import require_caller
from app.api.clone_jobs import accept, accepted_before, answer, answered, load_job
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.clone_job import CloneJobForm
from app.domain.errors import ResourceNotFound
from app.domain.states import ENDED, JobState
from app.queue import TaskName
from app.store import control, item_views, job_views, removals
from app.store.control import Controlled
from app.store.models import JobKind

Verb = Callable[[Connection, str], Controlled]


async def cancel_job(request: web.Request) -> web.Response:
    return await _control(request, control.cancel_job, TaskName.SWEEP, "cancel")


async def pause_job(request: web.Request) -> web.Response:
    return await _control(request, control.pause_job, TaskName.SWEEP, "pause")


async def resume_job(request: web.Request) -> web.Response:
    return await _control(request, control.resume_job, TaskName.SCHEDULE, "resume")


async def cancel_item(request: web.Request) -> web.Response:
    caller = await require_caller(request)
    job = await load_job(request, caller, request.match_info["uuid"])
    job_uuid, item_uuid = job["uuid"], request.match_info["item"]
    state = state_of(request)
    found = await state.write(
        lambda c: (
            control.cancel_item(c, item_uuid)
            if item_views.load_item(c, job_uuid, item_uuid) is not None
            else None
        )
    )
    if found is None:
        raise ResourceNotFound(f"clone job {job_uuid} has no item {item_uuid}")
    if found.state in ENDED and not found.already:
        raise _conflict(f"item {item_uuid} has ended as {found.state}; nothing can be cancelled")
    state.publisher.publish(TaskName.SWEEP)
    state.publisher.publish(TaskName.FINISH, job_uuid)  # it may have been the last one
    item = await state.read(lambda c: item_views.load_item(c, job_uuid, item_uuid))
    return json_value(item)


async def retry_job(request: web.Request) -> web.Response:
    """A new job of the names that failed or were cancelled, with the same parameters and of the
    same account, whoever of those that see the job asks. Names that an earlier retry cloned, or
    has under way, are not made twice."""
    caller = await require_caller(request)
    before = await accepted_before(request, caller)
    if before is not None:
        return await answered(request, caller, before)
    job = await load_job(request, caller, request.match_info["uuid"])
    uuid = job["uuid"]
    if job["kind"] != JobKind.CLONE:
        raise _conflict(f"job {uuid} removes VMs; ask for the removal again instead")
    if job["state"] != JobState.FINISHED:
        raise _conflict(
            f"clone job {uuid} is {job['state']}; it can be retried once it has finished: wait for "
            "it, or cancel it"
        )
    if job["account"] is None:
        raise _conflict(f"clone job {uuid} is no account's that is there; submit its names anew")
    state = state_of(request)
    async with state.one_retry_at_a_time():
        failed = await state.read(lambda c: job_views.load_failed(c, uuid))
        if not failed.names:
            raise _conflict(_nothing_left(uuid, failed.retried))
        accepted = await accept(
            request,
            caller,
            CloneJobForm(
                vm_instance_uuid=job["vmInstanceUuid"],
                parameters={**failed.request, "names": failed.names},
                priority=job["priority"],
                policy=failed.policy,
            ),
            fingerprint_of=None,
            retry_of=uuid,
            account_uuid=failed.account_uuid,
        )
    return await answered(request, caller, accepted)


async def remove_vms(request: web.Request) -> web.Response:
    """A job of its own that destroys the VMs that a clone job made; with `?expunge=true` nothing
    of them is left. 202 with that job."""
    caller = await require_caller(request)
    job = await load_job(request, caller, request.match_info["uuid"])
    uuid = job["uuid"]
    kind = JobKind.EXPUNGE if RemovalAsked.of(request).expunge else JobKind.DESTROY
    if job["kind"] != JobKind.CLONE:
        raise _conflict(f"job {uuid} removes VMs and made none")
    if job["state"] != JobState.FINISHED:
        raise _conflict(
            f"clone job {uuid} is {job['state']}; what it makes can be removed once it has "
            "finished: wait for it, or cancel it"
        )
    state = state_of(request)
    made = await state.write(lambda c: _ask_removal(c, uuid, caller.account_uuid, kind))
    if made is None:
        raise _conflict(f"no VM of clone job {uuid} is there to be removed")
    state.publisher.publish(TaskName.START, made)
    return await answer(request, caller, made)


def _ask_removal(
    connection: Connection, job_uuid: str, account_uuid: str, kind: JobKind
) -> str | None:
    vms = removals.made_by(connection, job_uuid, kind)
    return removals.ask(connection, vms, account_uuid=account_uuid, kind=kind) if vms else None


async def _control(
    request: web.Request, verb: Verb, publishes: TaskName, name: str
) -> web.Response:
    caller = await require_caller(request)
    job = await load_job(request, caller, request.match_info["uuid"])
    uuid = job["uuid"]
    state = state_of(request)
    found = await state.write(lambda c: verb(c, uuid))
    if found.state in {JobState.FINISHING, JobState.FINISHED} and not found.already:
        raise _conflict(f"clone job {uuid} is {found.state}; there is nothing to {name} any more")
    state.publisher.publish(publishes)
    return json_value(await load_job(request, caller, uuid))


def _nothing_left(uuid: str, retried: Sequence[str]) -> str:
    if not retried:
        return f"every name of clone job {uuid} was cloned; there is nothing to retry"
    return (
        f"every name of clone job {uuid} was cloned by it or its retries, or is under way in one "
        f"of these; there is nothing to retry: watch {' and '.join(retried)}"
    )


def _conflict(text: str) -> web.HTTPConflict:
    return web.HTTPConflict(text=text)
