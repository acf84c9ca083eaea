"""What accounts share: `PUT /accounts/resources/actions`."""

from aiohttp import web

from app.api.bodies import read_object
from app.api.done_jobs import Call, Done, answer_as_job
from app.api.paths import api_path
from app.store import shares
from app.zstack.forms import action_of

SHARE, REVOKE = "shareResource", "revokeResourceSharing"


async def put_resources(request: web.Request) -> web.Response:
    body = await read_object(request)
    name, parameters = action_of(body, [SHARE, REVOKE], path=api_path(request))
    operation = share_resource if name == SHARE else revoke_resource_sharing
    return await answer_as_job(request, operation, parameters)


def share_resource(call: Call) -> Done:
    call.require_account()
    members = call.members("APIShareResourceMsg")
    resources = shares.find(call.connection, members.some_texts("resourceUuids"), owner=call.scope)
    shares.share(
        call.connection,
        resources,
        accounts=members.texts("accountUuids"),
        to_public=members.flag("toPublic"),
    )
    return Done()


def revoke_resource_sharing(call: Call) -> Done:
    call.require_account()
    members = call.members("APIRevokeResourceSharingMsg")
    resources = shares.find(call.connection, members.some_texts("resourceUuids"), owner=call.scope)
    shares.revoke(
        call.connection,
        resources,
        accounts=members.texts("accountUuids"),
        to_public=members.flag("toPublic"),
        everything=members.flag("all"),
    )
    return Done()
