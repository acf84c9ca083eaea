"""Is this process alive, and can it do its work?"""

import asyncio
from collections.abc import Awaitable

from aiohttp import web
from sqlalchemy import text

from app.api.responses import json_value
from app.api.state import ApiState, state_of
from app.queue import CONTROL_SEEN_KEY

LIMIT_S = 3.0


async def healthz(request: web.Request) -> web.Response:  # noqa: ARG001
    return json_value({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 when database, broker and a live control worker are there; 503 says which is not."""
    checks = await _checks(state_of(request))
    ready = all(checks.values())
    body = {"status": "ready" if ready else "not ready", **checks}
    return json_value(body, status=200 if ready else 503)


async def is_ready(state: ApiState) -> bool:
    return all((await _checks(state)).values())


async def _checks(state: ApiState) -> dict[str, bool]:
    """All at once, each within its limit: who asks is a load balancer."""
    asked = {"database": _database(state), "broker": _broker(state), "worker": _worker(state)}
    answers = await asyncio.gather(*map(_holds, asked.values()))
    return dict(zip(asked, answers, strict=True))


async def _holds(check: Awaitable[bool]) -> bool:
    try:
        async with asyncio.timeout(LIMIT_S):
            return await check
    except Exception:
        return False


async def _database(state: ApiState) -> bool:
    return bool(await state.read(lambda connection: connection.scalar(text("SELECT 1"))))


async def _broker(state: ApiState) -> bool:
    return bool(await state.broker.ping())


async def _worker(state: ApiState) -> bool:
    return bool(await state.broker.exists(CONTROL_SEEN_KEY))
