"""`GET …/api-jobs/{uuid}`: unauthenticated, because the job's uuid is the capability."""

import asyncio
import logging

import asyncpg
from aiohttp import web

from app.api import responses
from app.api.preferences import preferred_wait_s
from app.api.state import state_of
from app.store import intake
from app.store.intake import PollView
from app.store.session import POOL_AWAY
from app.zstack.results import with_schema as add_schema

log = logging.getLogger(__name__)

MISS_DELAY_S = 1.0
WAIT_STEP_S = 0.1


async def poll_job(request: web.Request) -> web.Response:
    """202 with progress while it runs, 200 or 503 with the stored result once it has ended.

    While the database does not answer, nothing is known of the job but where to ask again: 202
    without progress, because clients take every other status for the job's end.
    """
    state = state_of(request)
    uuid = request.match_info["uuid"]
    wait_s = preferred_wait_s(request.headers)
    try:
        if wait_s:
            view = await wait_for_end(state.pool, uuid, wait_s)
        else:
            view = await intake.poll(state.pool, uuid)
    except POOL_AWAY as error:
        log.warning("poll without a database", extra={"error": str(error)})
        return responses.json_value({"location": location_of(request, uuid)}, status=202)
    if view is None:
        return await _missed(request)
    if view.status is not None:
        return finished_answer(view, with_schema="X-JSON-Schema" in request.headers)
    return responses.json_value(
        {"location": location_of(request, uuid), "progress": view.progress}, status=202
    )


def finished_answer(view: PollView, *, with_schema: bool) -> web.Response:
    assert view.body is not None
    assert view.status is not None
    body = view.body
    if with_schema and view.schema is not None:
        body = add_schema(body, view.schema)
    return responses.json_bytes(body, status=view.status)


async def wait_for_end(pool: asyncpg.Pool, job_uuid: str, wait_s: float) -> PollView | None:
    """The job's view once it has ended, or as it is when the time is up."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    while True:
        view = await intake.poll(pool, job_uuid)
        if view is None or view.status is not None or loop.time() >= until_s:
            return view
        await asyncio.sleep(WAIT_STEP_S)


def location_of(request: web.Request, job_uuid: str) -> str:
    """Absolute, and always with /zstack/v1/api-jobs/: Java's client cuts it there."""
    base = state_of(request).settings.public_url or f"{request.scheme}://{request.host}"
    return f"{base.rstrip('/')}/zstack/v1/api-jobs/{job_uuid}"


async def _missed(request: web.Request) -> web.Response:
    """The same answer for all; late for who misses too often, since he may be guessing."""
    misses = state_of(request).missed_polls
    address = request.remote or ""
    if misses.is_spent(address):
        await asyncio.sleep(MISS_DELAY_S)
    misses.spend(address)
    return responses.plain_text("the job has been expired", status=404)
