"""QueryVmInstance: `GET …/vm-instances` and `/{uuid}`."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from app.api.callers import require_caller
from app.api.responses import json_bytes
from app.api.state import state_of
from app.domain.vm_query import Comparison, VmQuery
from app.store import vm_views
from app.zstack.conditions import parse_query
from app.zstack.inventories import vm_inventory
from app.zstack.results import query_body, query_schema


async def query_vm_instances(request: web.Request) -> web.Response:
    return await _answer(request, parse_query(list(request.query.items())))


async def get_vm_instance(request: web.Request) -> web.Response:
    """The same shape as a query: a list of one, or of none."""
    query = parse_query([("fields", request.query.get("fields", ""))])
    uuid = Comparison("uuid", "=", request.match_info["uuid"], is_text=True)
    return await _answer(request, replace(query, conditions=[uuid]))


async def _answer(request: web.Request, query: VmQuery) -> web.Response:
    caller = await require_caller(request)
    account = None if caller.is_admin else caller.account_uuid
    answer = await state_of(request).read(
        lambda connection: vm_views.query_vms(connection, query, account_uuid=account)
    )
    if query.count_only:
        return json_bytes(query_body(None, answer.total, {}))
    inventories = [_selected(vm_inventory(vm), query.fields) for vm in answer.vms]
    # Partial objects carry no schema: it may only name what is there.
    schema = {} if query.fields else query_schema(answer.vms)
    return json_bytes(query_body(inventories, answer.total, schema))


def _selected(inventory: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    if not fields:
        return inventory
    return {name: value for name, value in inventory.items() if name in fields}
