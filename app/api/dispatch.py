"""From a path of ZStack's to the message that is meant, and to who answers it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from aiohttp import web

from app.api import capacities, long_jobs, management, task_progress
from app.api.bodies import CLONE_SUBMISSION, SMALL, read_object
from app.api.paths import api_path
from app.api.submissions import submit
from app.zstack import messages
from app.zstack.forms import BadRequest, action_of
from app.zstack.messages import CLONE, Message

Answers = Callable[[web.Request, dict[str, Any]], Awaitable[web.Response]]

# By message, who answers it at once. Jobs of the engine are all submitted alike.
HANDLERS: Mapping[str, Answers] = {
    "GetVersion": management.get_version,
    "GetCurrentTime": management.get_current_time,
    "GetSupportAPIs": management.get_support_apis,
    "QueryManagementNode": management.query_management_node,
    "IsReadyToGo": management.is_ready_to_go,
    "GetCandidateZonesClustersHostsForCreatingVm": capacities.candidate_destinations,
    "GetVmStartingCandidateClustersHosts": capacities.starting_target_hosts,
    "GetCpuMemoryCapacity": capacities.cpu_memory_capacity,
    "SubmitLongJob": long_jobs.submit_long_job,
    "CancelLongJob": long_jobs.cancel_long_job,
    "RerunLongJob": long_jobs.rerun_long_job,
    "ResumeLongJob": long_jobs.resume_long_job,
    "CleanLongJob": long_jobs.clean_long_job,
    "GetTaskProgress": task_progress.get_task_progress,
}


def message_routes() -> Iterator[web.RouteDef]:
    for method, path in messages.paths():
        candidates = messages.messages_of(method, path)
        if all(m.kind is None and m.name not in HANDLERS for m in candidates):
            continue  # has handlers of its own
        kwargs = {"allow_head": False} if method == "GET" else {}
        yield web.RouteDef(method, path, _dispatcher(candidates), kwargs)


def _dispatcher(candidates: list[Message]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def dispatch(request: web.Request) -> web.Response:
        message, parameters = await _message_of(request, candidates)
        if "uuid" in request.match_info:
            parameters[message.key] = request.match_info["uuid"]
        return await answer(request, message, parameters)

    return dispatch


async def answer(
    request: web.Request, message: Message, parameters: dict[str, Any]
) -> web.Response:
    if message.kind is not None:
        return await submit(request, message, parameters)
    return await HANDLERS[message.name](request, parameters)


async def _message_of(
    request: web.Request, candidates: list[Message]
) -> tuple[Message, dict[str, Any]]:
    if request.method in {"GET", "DELETE"}:
        (message,) = candidates
        return message, _of_query(request)
    flat = CLONE.action if CLONE in candidates else None
    body = await read_object(request, limit=CLONE_SUBMISSION if flat else SMALL)
    if request.method == "POST":
        (message,) = candidates
        return message, _params(body, message)
    actions = {message.action: message for message in candidates}
    action, parameters = action_of(body, list(actions), path=api_path(request), flat=flat)
    return actions[action], parameters


def _params(body: dict[str, Any], message: Message) -> dict[str, Any]:
    """A creation's parameters stand below `params`, or below its action's name."""
    key = next((key for key in ("params", message.action) if key in body), None)
    value = body if key is None else body[key] or {}
    if not isinstance(value, dict):
        raise BadRequest(f"the value of [{key}] must be a JSON object")
    return dict(value)


def _of_query(request: web.Request) -> dict[str, Any]:
    """A parameter that stands twice is a list."""
    return {
        name: values[0] if len(values := request.query.getall(name)) == 1 else list(values)
        for name in request.query
        if "\x00" not in "".join(request.query.getall(name))
    }
