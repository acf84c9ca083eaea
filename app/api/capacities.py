"""Candidate hosts and capacities."""

from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from app.api.callers import require_caller
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import InvalidArgument, ResourceNotFound
from app.store import capacities, lookups
from app.store.accounts import Caller
from app.store.capacities import Wanted
from app.store.queries import read
from app.zstack.inventories import inventory, shape_of
from app.zstack.resources.places import CLUSTER, HOST, ZONE
from app.zstack.resources.resource import Resource

MAX_INT64 = 2**63 - 1


async def candidate_destinations(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    """Where a new VM of `cpuNum` and `memorySize` could be made, by zoneUuid, clusterUuid and
    l3NetworkUuids. Raises ResourceNotFound for a network that the caller does not see."""
    caller = await require_caller(request)
    wanted = Wanted(
        cpu=_number(parameters, "cpuNum"),
        memory=_number(parameters, "memorySize"),
        zone_uuid=_text(parameters, "zoneUuid"),
        cluster_uuid=_text(parameters, "clusterUuid"),
        l3_network_uuids=_list(parameters, "l3NetworkUuids"),
    )

    def find(connection: Connection) -> dict[str, Any]:
        for uuid in wanted.l3_network_uuids:
            _check_network(connection, caller, uuid)
        return _places(connection, capacities.hosts_for(connection, wanted))

    return json_value(await state_of(request).read(find))


async def starting_target_hosts(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    """Where the VM could be started. Raises ResourceNotFound, also for another account's."""
    caller = await require_caller(request)
    account = None if caller.is_admin else caller.account_uuid
    uuid = parameters["uuid"]
    state = state_of(request)
    wanted = await state.read(lambda c: capacities.wanted_by(c, uuid, account))
    if wanted is None:
        raise ResourceNotFound(
            f"invalid field[uuid], resource[uuid:{uuid}, type:VmInstanceVO] not found"
        )
    found = await state.read(lambda c: _places(c, capacities.hosts_for(c, wanted)))
    return json_value({name: found[name] for name in ("hosts", "clusters")})


async def cpu_memory_capacity(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    await require_caller(request)
    scope = {
        "zones": _list(parameters, "zoneUuids"),
        "clusters": _list(parameters, "clusterUuids"),
        "hosts": _list(parameters, "hostUuids"),
    }
    return json_value(await state_of(request).read(lambda c: capacities.cpu_and_memory(c, scope)))


def _check_network(connection: Connection, caller: Caller, uuid: str) -> None:
    kind = "L3NetworkVO"
    seen = caller.is_admin or lookups.may_copy(connection, caller.account_uuid, kind, uuid)
    if not (seen and lookups.exists(connection, kind, uuid)):
        raise ResourceNotFound(
            f"invalid field[l3NetworkUuids], resource[uuid:{uuid}, type:{kind}] not found"
        )


def _places(connection: Connection, host_uuids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The hosts with their clusters and zones."""
    hosts = _inventories(connection, HOST, host_uuids)
    clusters = _inventories(connection, CLUSTER, [host["clusterUuid"] for host in hosts])
    zones = _inventories(connection, ZONE, [host["zoneUuid"] for host in hosts])
    return {"zones": zones, "clusters": clusters, "hosts": hosts}


def _inventories(
    connection: Connection, resource: Resource, uuids: list[str]
) -> list[dict[str, Any]]:
    records = read.load(connection, shape_of(resource), list(dict.fromkeys(uuids)))
    return [inventory(resource, record) for record in records]


def _list(parameters: dict[str, Any], field: str) -> list[str]:
    """In a query string the parameter stands once for each, or once with commas."""
    value = parameters.get(field)
    if value is None:
        return []
    values = value if isinstance(value, list) else str(value).split(",")
    return [str(each).strip() for each in values if str(each).strip()]


def _text(parameters: dict[str, Any], field: str) -> str | None:
    value = parameters.get(field)
    return str(value).strip() or None if value is not None else None


def _number(parameters: dict[str, Any], field: str) -> int:
    text = _text(parameters, field)
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_INT64):
        raise InvalidArgument(f"field[{field}] must be a number, but was [{text[:50]}]")
    return int(text)
