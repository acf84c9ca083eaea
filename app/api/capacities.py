"""Candidate hosts and capacities."""

from typing import Any

from aiohttp import web

from app.api.callers import require_caller
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import InvalidArgument, ResourceNotFound
from app.store import capacities
from app.store.capacities import Wanted
from app.zstack import places

MAX_INT64 = 2**63 - 1


async def candidate_destinations(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    """Where a new VM of `cpuNum` and `memorySize` could be made, by zoneUuid, clusterUuid and
    l3NetworkUuids."""
    await require_caller(request)
    wanted = Wanted(
        cpu=_number(parameters, "cpuNum"),
        memory=_number(parameters, "memorySize"),
        zone_uuid=_text(parameters, "zoneUuid"),
        cluster_uuid=_text(parameters, "clusterUuid"),
        l3_network_uuids=_list(parameters, "l3NetworkUuids"),
    )
    state = state_of(request)
    hosts = await state.read(lambda c: capacities.hosts_for(c, wanted))
    clusters, zones = await state.read(lambda c: capacities.places_of(c, hosts))
    return json_value(
        {
            "zones": list(map(places.zone, zones)),
            "clusters": list(map(places.cluster, clusters)),
            "hosts": list(map(places.candidate_host, hosts)),
        }
    )


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
    hosts = await state.read(lambda c: capacities.hosts_for(c, wanted))
    clusters, _ = await state.read(lambda c: capacities.places_of(c, hosts))
    return json_value(
        {
            "hosts": list(map(places.candidate_host, hosts)),
            "clusters": list(map(places.cluster, clusters)),
        }
    )


async def cpu_memory_capacity(request: web.Request, parameters: dict[str, Any]) -> web.Response:
    await require_caller(request)
    scope = {
        "zones": _list(parameters, "zoneUuids"),
        "clusters": _list(parameters, "clusterUuids"),
        "hosts": _list(parameters, "hostUuids"),
    }
    return json_value(await state_of(request).read(lambda c: capacities.cpu_and_memory(c, scope)))


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
