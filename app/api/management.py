"""What clients ask before anything else: version, clock, readiness. Open to everybody."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from app.api.health import is_ready
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import NotReady
from app.zstack.dates import format_date
from app.zstack.messages import MESSAGES, query_classes

ZSTACK_VERSION = "5.2.1"  # whose API this is; clients compare it with what they know
_NODE_CLASS = "org.zstack.header.managementnode.ManagementNodeInventory"


async def get_version(_: web.Request, __: dict[str, Any]) -> web.Response:
    return json_value({"version": ZSTACK_VERSION, "success": True})


async def get_current_time(_: web.Request, __: dict[str, Any]) -> web.Response:
    now_ms = time.time_ns() // 1_000_000
    times = {"MillionSeconds": now_ms, "Seconds": now_ms // 1000}
    return json_value({"currentTime": times, "success": True})


async def get_support_apis(_: web.Request, __: dict[str, Any]) -> web.Response:
    """The full class of each message."""
    queries = (java for java, _ in query_classes())
    apis = sorted([*(message.request_class for message in MESSAGES), *queries])
    return json_value({"supportApis": apis, "success": True})


async def is_ready_to_go(request: web.Request, _: dict[str, Any]) -> web.Response:
    """Raises NotReady while database, broker or the control worker is away."""
    state = state_of(request)
    if not await is_ready(state):
        raise NotReady
    return json_value({"managementNodeId": _node(state.settings.listen), "success": True})


async def query_management_node(request: web.Request, _: dict[str, Any]) -> web.Response:
    """A list of this one."""
    settings = state_of(request).settings
    inventory = {
        "uuid": _node(settings.listen),
        "hostName": settings.listen,
        "joinDate": _STARTED,
        "heartBeat": format_now(),
    }
    return json_value({"inventories": [inventory], "schema": {"inventories[0]": _NODE_CLASS}})


@lru_cache(maxsize=1)
def _node(listen: str) -> str:
    """The same however often this server starts."""
    return uuid5(NAMESPACE_URL, f"vmclone:{listen}").hex


def format_now() -> str:
    return format_date(datetime.now(UTC))


_STARTED = format_now()
