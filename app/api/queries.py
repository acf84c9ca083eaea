"""ZStack's queries: `GET …/<resources>` and `…/<resources>/{uuid}`, answered at once.

Both envelopes (REST here, the legacy messages beside it) end in `run_query`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg
from aiohttp import web

from app.api.callers import require_caller
from app.api.responses import json_value
from app.api.state import ApiState, state_of
from app.domain.errors import OperationTimeout
from app.domain.query import Query, Record
from app.store.accounts import Caller
from app.store.queries import read
from app.zstack.conditions import parse_query, uuid_is
from app.zstack.inventories import inventory, paths, shape_of
from app.zstack.resources import QUERIES, Resource


async def run_query(
    state: ApiState, caller: Caller, resource: Resource, query: Query
) -> dict[str, Any]:
    """The reply: `inventories`, `total` where it was asked for, and `schema`.

    Raises OperationTimeout for a query that the database cannot answer in time.
    """
    shape = shape_of(resource, query.fields)
    try:
        answer = await read.run_at_once(state.queries, query, shape, caller)
    except asyncpg.QueryCanceledError as error:
        raise OperationTimeout(
            f"{resource.api} did not end in time; ask for less, or by a field that has an index: "
            "uuid, name, an address"
        ) from error
    reply: dict[str, Any] = {}
    if not query.count_only:
        reply["inventories"] = [
            inventory(resource, record, query.fields) for record in answer.records
        ]
    if answer.total is not None:
        reply["total"] = answer.total
    return reply | {"schema": _schema(resource, answer.records)}


def _schema(resource: Resource, records: Sequence[Record]) -> dict[str, str]:
    schema: dict[str, str] = {}
    for number, record in enumerate(records):
        schema |= paths(f"inventories[{number}]", resource, record)
    return schema


def query_routes() -> list[web.RouteDef]:
    """Two for each resource. Fixed paths come before those that end in a uuid."""
    resources = [resource for resource in QUERIES.values() if resource.path]
    lists = [
        web.get(str(resource.path), _handler(resource), allow_head=False) for resource in resources
    ]
    singles = [
        web.get(f"{resource.path}/{{uuid}}", _handler(resource), allow_head=False)
        for resource in resources
    ]
    return lists + singles


def _handler(resource: Resource) -> Any:
    async def handle(request: web.Request) -> web.Response:
        caller = await require_caller(request)
        query = parse_query(resource, list(request.query.items()))
        uuid = request.match_info.get("uuid")
        if uuid is not None:
            query = replace(query, conditions=[*query.conditions, uuid_is(uuid)])
        return json_value(await run_query(state_of(request), caller, resource, query))

    return handle
