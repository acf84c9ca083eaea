"""`/api/v1/hosts`, `/primary-storages` and `/ip-ranges`: what is used and what is left."""

from aiohttp import web

from app.api.callers import require_caller
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import PermissionDenied
from app.store import places
from app.store.views import HostsView, IpRangesView, PrimaryStoragesView


async def list_hosts(request: web.Request) -> web.Response:
    await _require_admin(request)
    state = state_of(request)
    hosts = await state.read(lambda c: places.load_hosts(c, state.settings))
    shown: HostsView = {"hosts": hosts}
    return json_value(shown)


async def list_primary_storages(request: web.Request) -> web.Response:
    await _require_admin(request)
    state = state_of(request)
    storages = await state.read(lambda c: places.load_primary_storages(c, state.settings))
    shown: PrimaryStoragesView = {"primary-storages": storages}
    return json_value(shown)


async def list_ip_ranges(request: web.Request) -> web.Response:
    """Of all networks for admin; for others of those that are shared with them."""
    caller = await require_caller(request)
    account = None if caller.is_admin else caller.account_uuid
    ranges = await state_of(request).read(lambda c: places.load_ip_ranges(c, account_uuid=account))
    shown: IpRangesView = {"ip-ranges": ranges}
    return json_value(shown)


async def _require_admin(request: web.Request) -> None:
    if not (await require_caller(request)).is_admin:
        raise PermissionDenied("only admin sees hosts and storages; sign in as admin")
