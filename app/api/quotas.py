"""Quotas: set by administrators, looked at by each account."""

from aiohttp import web

from app.api.bodies import read_object
from app.api.callers import require_caller
from app.api.done_jobs import Call, Done, answer_as_job
from app.api.paths import api_path
from app.api.responses import json_value
from app.api.state import state_of
from app.domain.errors import PermissionDenied
from app.store import quotas
from app.zstack.forms import action_of
from app.zstack.identity import SCHEMAS, quota_inventory


async def put_quotas(request: web.Request) -> web.Response:
    body = await read_object(request)
    _, parameters = action_of(body, ["updateQuota"], path=api_path(request))
    return await answer_as_job(request, update_quota, parameters)


def update_quota(call: Call) -> Done:
    call.require_admin()
    members = call.members("APIUpdateQuotaMsg")
    row = quotas.put(
        call.connection,
        members.text("identityUuid"),
        members.text("name"),
        members.number("value"),
    )
    return Done(quota_inventory(row), SCHEMAS["quota"])


async def get_usages(request: web.Request) -> web.Response:
    """GetAccountQuotaUsage, answered at once; a `total` of -1 is no limit."""
    caller = await require_caller(request)
    uuid = request.match_info["uuid"]
    if not caller.is_admin and uuid != caller.account_uuid:
        raise PermissionDenied(f"account[uuid:{uuid}] is another account")
    found = await state_of(request).read(lambda c: quotas.usages(c, uuid))
    return json_value(
        {
            "usages": [
                {"name": usage.name, "total": usage.total, "used": usage.used} for usage in found
            ]
        }
    )
