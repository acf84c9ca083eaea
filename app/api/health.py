"""Is this process alive, and can it do its work?"""

from aiohttp import web
from sqlalchemy import text

from app.api.responses import json_value
from app.api.state import ApiState, state_of
from app.queue import CONTROL_SEEN_KEY


async def healthz(request: web.Request) -> web.Response:  # noqa: ARG001
    return json_value({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 when database, broker and a live control worker are there; 503 says which is not."""
    state = state_of(request)
    checks = {
        "database": await _database(state),
        "broker": await _broker(state),
        "worker": await _worker(state),
    }
    ready = all(checks.values())
    body = {"status": "ready" if ready else "not ready", **checks}
    return json_value(body, status=200 if ready else 503)


async def is_ready(state: ApiState) -> bool:
    return await _database(state) and await _broker(state) and await _worker(state)


async def _database(state: ApiState) -> bool:
    try:
        await state.read(lambda connection: connection.scalar(text("SELECT 1")))
    except Exception:
        return False
    return True


async def _broker(state: ApiState) -> bool:
    try:
        await state.broker.ping()
    except Exception:
        return False
    return True


async def _worker(state: ApiState) -> bool:
    try:
        return bool(await state.broker.exists(CONTROL_SEEN_KEY))
    except Exception:
        return False
