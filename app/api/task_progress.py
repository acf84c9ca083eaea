"""GetTaskProgress: a job's steps as ZStack's tasks. `apiId` is the job's uuid."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aiohttp import web
from sqlalchemy import Row

from app.api.callers import require_caller
from app.api.responses import json_value
from app.api.state import state_of
from app.store import progress

_CLASS = "org.zstack.header.core.progress.TaskProgressInventory"
# ZStack's texts, where it has one.
_TEXTS = {
    "allocate_host": "allocate candidate hosts",
    "attach_nics": "create nics",
    "start_vm": "start on the hypervisor",
    "stop_vm": "stop on the hypervisor",
}


async def get_task_progress(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    """With `all` every recorded step, oldest first, below the job's own percentage; without it the
    newest only. Empty for a job that is unknown, another account's, or has ended and is not asked
    for with `all`."""
    caller = await require_caller(request)
    uuid = str(parameters["apiId"])
    everything = str(parameters.get("all", "")).lower() == "true"
    state = state_of(request)
    job = await state.read(lambda c: progress.job_of(c, uuid))
    if job is None or not (caller.is_admin or job.account_uuid == caller.account_uuid):
        return json_value({"inventories": [], "schema": {}})
    limit = progress.MOST_STEPS if everything else 1
    steps = await state.read(lambda c: progress.steps_of(c, uuid, limit=limit))
    inventories = [_root(job), *_steps(job, steps)]
    if not everything:
        inventories = inventories[-1:] if job.state != "Finished" else []
    schema = {f"inventories[{number}]": _CLASS for number in range(len(inventories))}
    return json_value({"inventories": inventories, "schema": schema})


def _root(job: Row[Any]) -> dict[str, Any]:
    total = job.total or 0
    done = 100 if job.state == "Finished" else (100 * (job.ended or 0) // total if total else 0)
    return {
        "taskUuid": job.uuid,
        "taskName": job.kind,
        "type": "Progress",
        "content": str(done),
        "time": _ms(job.finished_at or job.started_at or job.created_at),
        "subTasks": [],
    }


def _steps(job: Row[Any], steps: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "taskUuid": step.item_uuid,
            "taskName": step.item_name,
            "parentUuid": job.uuid,
            "type": "Task",
            "content": _TEXTS.get(step.name, step.name.replace("_", " ")),
            "time": _ms(step.finished_at),
            "subTasks": [],
        }
        for step in reversed(steps)
    ]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
