"""Long jobs: submitted, cancelled, resumed, run again, forgotten."""

import re
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web
from sqlalchemy import Row

from app.api.done_jobs import Call, Done, Operation, answer_as_job
from app.api.state import state_of
from app.domain.errors import (
    InvalidArgument,
    LongJobNotCancelable,
    LongJobNotSupported,
    OperationFailed,
    ResourceNotFound,
)
from app.queue import TaskName
from app.store import control, long_jobs
from app.store.long_jobs import NewLongJob
from app.store.queries import read
from app.zstack.forms import BadRequest, parse_object
from app.zstack.inventories import inventory, shape_of
from app.zstack.messages import BY_SHORT_CLASS, Message
from app.zstack.passwords import hash_passwords, holds_password
from app.zstack.resources.identity import LONG_JOB

_UUID = re.compile("[0-9a-f]{12}[1-5][0-9a-f]{3}[89ab][0-9a-f]{3}[0-9a-f]{12}")
_ACCEPTED = " accepted"  # beside the parameters, under no name that they can have
_API = re.compile(r"API[A-Za-z]+Msg")


async def submit_long_job(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    return await _answer(request, _submit, parameters, TaskName.START)


async def cancel_long_job(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    return await _answer(request, _cancel, parameters, TaskName.SWEEP)


async def resume_long_job(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    return await _answer(request, _resume, parameters, TaskName.SCHEDULE)


async def rerun_long_job(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    return await _answer(request, _rerun, parameters, TaskName.START)


async def clean_long_job(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    return await _answer(request, _clean, parameters, None)


async def _answer(
    request: web.Request, operation: Operation, parameters: dict[str, Any], wakes: TaskName | None
) -> web.Response:
    """`wakes`: what is to be looked at then. START is told which job was accepted, if one was."""
    accepted: list[str] = []
    parameters = parameters | {_ACCEPTED: accepted}
    response = await answer_as_job(request, operation, parameters)
    publisher = state_of(request).publisher
    if wakes is TaskName.START:
        for job_uuid in accepted:
            publisher.publish(wakes, job_uuid)
    elif wakes is not None:
        publisher.publish(wakes)
    return response


def _submit(call: Call) -> Done:
    parameters = call.parameters
    for field in ("jobName", "name", "description", "targetResourceUuid"):
        if "\x00" in str(parameters.get(field) or ""):
            raise InvalidArgument(f"field[{field}] of message[APISubmitLongJobMsg] has a NUL")
    job_name = str(parameters.get("jobName") or "")
    message = _message_of(job_name)
    data = _data_of(parameters.get("jobData"), message)
    job_uuid = uuid4().hex
    uuid = str(parameters.get("resourceUuid") or "") or uuid4().hex
    if not _UUID.fullmatch(uuid):
        raise InvalidArgument(f"field[resourceUuid] is no UUID: [{uuid[:50]}]")
    vm_uuid = data.get(message.key)
    if not isinstance(vm_uuid, str) or not vm_uuid or "\x00" in vm_uuid:
        raise InvalidArgument(f"field[{message.key}] of message[{job_name}] is mandatory")
    _accept(call, job_uuid, message, data)
    new = NewLongJob(
        uuid=uuid,
        name=str(parameters.get("name") or job_name),
        description=_text(parameters.get("description")),
        job_name=job_name,
        job_data=orjson.dumps(data).decode(),
        target_resource_uuid=_text(parameters.get("targetResourceUuid")) or vm_uuid,
        account_uuid=call.caller.account_uuid,
        job_uuid=job_uuid,
    )
    if not long_jobs.make(call.connection, new):
        raise InvalidArgument(f"field[resourceUuid]: there is a long job[uuid:{uuid}] already")
    return _shown(call, uuid)


def _message_of(job_name: str) -> Message:
    """Raises InvalidArgument, LongJobNotSupported."""
    message = BY_SHORT_CLASS.get(job_name.rpartition(".")[2])
    if message is None and not _API.fullmatch(job_name.rpartition(".")[2]):
        raise InvalidArgument(f"{job_name[:100]} is not an API")
    if message is None or message.kind is None:
        raise LongJobNotSupported(f"{job_name[:100]} has no long job handler")
    return message


def _data_of(given: Any, message: Message) -> dict[str, Any]:
    """Passwords hashed, as they may be stored. Raises InvalidArgument."""
    if not isinstance(given, str):
        raise InvalidArgument("field[jobData] is a string of JSON, with the API's fields")
    try:
        data = parse_object(given.encode("utf-8", "replace"))
        message.check(data)
    except BadRequest as error:
        raise InvalidArgument(f"field[jobData]: {error}") from error
    data.pop("session", None)
    return hash_passwords(data) if holds_password(data) else data


def _accept(
    call: Call,
    job_uuid: str,
    message: Message,
    data: dict[str, Any],
    *,
    retry_of: str | None = None,
) -> None:
    assert message.kind is not None
    call.parameters[_ACCEPTED].append(job_uuid)
    long_jobs.accept_job(
        call.connection,
        job_uuid,
        message.kind,
        data[message.key],
        data,
        account_uuid=call.caller.account_uuid,
        timeout_s=message.timeout_s or call.settings.job_timeout_s,
        retry_of=retry_of,
    )


def _cancel(call: Call) -> Done:
    held = _held(call)
    if held.job_state in (None, "Finished", "Finishing"):
        raise LongJobNotCancelable(
            f"long job[uuid:{held.uuid}] has ended; there is nothing to cancel"
        )
    control.cancel_job(call.connection, held.job_uuid)
    return _shown(call, held.uuid)


def _resume(call: Call) -> Done:
    """Of a suspended one."""
    held = _held(call)
    found = control.resume_job(call.connection, held.job_uuid) if held.job_uuid else None
    if found is None or found.already or found.state not in ("Accepted", "Running"):
        raise OperationFailed(f"long job[uuid:{held.uuid}] is not suspended; nothing to resume")
    return _shown(call, held.uuid)


def _rerun(call: Call) -> Done:
    """A new job of the same fields, for one that failed or was cancelled."""
    held = _held(call)
    if held.job_state not in (None, "Finished") or held.outcome in (
        "Succeeded",
        "PartiallySucceeded",
    ):
        raise OperationFailed(
            f"long job[uuid:{held.uuid}] has not failed; only what failed or was cancelled is run "
            "again"
        )
    job_uuid = uuid4().hex
    message = _message_of(held.job_name)
    _accept(call, job_uuid, message, orjson.loads(held.job_data), retry_of=held.job_uuid)
    long_jobs.run_by(call.connection, held.uuid, job_uuid)
    return _shown(call, held.uuid)


def _clean(call: Call) -> Done:
    held = _held(call)
    if held.job_state not in (None, "Finished"):
        raise OperationFailed(f"long job[uuid:{held.uuid}] runs; cancel it first")
    long_jobs.forget(call.connection, held.uuid)
    return Done()


def _held(call: Call) -> Row[Any]:
    uuid = str(call.parameters["uuid"])
    held = long_jobs.hold(call.connection, uuid, call.scope)
    if held is None:
        raise ResourceNotFound(
            f"invalid field[uuid], resource[uuid:{uuid}, type:LongJobVO] not found"
        )
    return held


def _shown(call: Call, uuid: str) -> Done:
    (record,) = read.load(call.connection, shape_of(LONG_JOB), [uuid])
    return Done(inventory(LONG_JOB, record), LONG_JOB.java)


def _text(value: Any) -> str | None:
    return str(value) if value else None
