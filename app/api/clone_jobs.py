"""`GET /api/v1/clone-jobs/{uuid}` and its items: progress as it is."""

from aiohttp import web

from app.api.callers import require_caller
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import ResourceNotFound
from app.domain.states import ItemState
from app.store import job_views
from app.zstack.forms import BadRequest

MAX_ITEMS = 1000


async def get_clone_job(request: web.Request) -> web.Response:
    return json_value(await _load_job(request))


async def list_items(request: web.Request) -> web.Response:
    """`?after=<ordinal>&limit=&state=`; `next` is the `after` of the following page, or null."""
    after = _integer(request, "after", -1)
    limit = min(max(1, _integer(request, "limit", 100)), MAX_ITEMS)
    state = _state(request.query.get("state"))
    job = await _load_job(request)
    items = await state_of(request).read(
        lambda c: job_views.load_items(c, str(job["uuid"]), after=after, limit=limit, state=state)
    )
    following = items[-1]["ordinal"] if len(items) == limit else None
    return json_value({"items": items, "next": following})


async def _load_job(request: web.Request) -> dict[str, object]:
    caller = await require_caller(request)
    uuid = request.match_info["uuid"]
    account = None if caller.is_admin else caller.account_uuid
    job = await state_of(request).read(lambda c: job_views.load_job(c, uuid, account_uuid=account))
    if job is None:
        raise ResourceNotFound(f"there is no clone job {uuid}; finished ones are kept 30 days")
    return job


def _integer(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        number = 2**31
    if not -(2**31) <= number < 2**31:
        raise BadRequest(f"[{name}] must be an integer, but was [{text[:50]}]")
    return number


def _state(text: str | None) -> ItemState | None:
    if text is None:
        return None
    try:
        return ItemState(text)
    except ValueError:
        raise BadRequest(f"[state] is one of {', '.join(ItemState)}") from None
