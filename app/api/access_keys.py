"""Access keys: created with a secret that is shown this once, deleted."""

from contextlib import suppress

from aiohttp import web

from app.api.accounts import created_with
from app.api.bodies import read_object
from app.api.done_jobs import Call, Done, answer_as_job
from app.domain.errors import NotImplementedHere, PermissionDenied, ResourceNotFound
from app.store import access_keys, account_edits
from app.zstack.identity import SCHEMAS, access_key_inventory
from app.zstack.members import MAX_DESCRIPTION


async def post_access_key(request: web.Request) -> web.Response:
    return await answer_as_job(request, create_access_key, created_with(await read_object(request)))


async def delete_access_key(request: web.Request) -> web.Response:
    return await answer_as_job(request, remove_access_key, {"uuid": request.match_info["uuid"]})


def create_access_key(call: Call) -> Done:
    """Of the calling account where `accountUuid` is left out; an administrator makes any
    account's."""
    call.require_account()
    members = call.members("APICreateAccessKeyMsg")
    account = members.optional_text("accountUuid") or call.caller.account_uuid
    user = members.optional_text("userUuid") or account
    if members.optional_text("AccessKeyID") or members.optional_text("AccessKeySecret"):
        raise NotImplementedHere(
            "vmclone derives the secrets of access keys and takes none; leave AccessKeyID and "
            "AccessKeySecret out"
        )
    if call.scope not in (None, account):
        raise PermissionDenied(f"account[uuid:{account}] is another account")
    account_edits.require_user(call.connection, account, user)
    made = access_keys.create(
        call.connection,
        access_keys.open_key_file(call.settings.key_file),
        account_uuid=account,
        user_uuid=user,
        description=members.optional_text("description", MAX_DESCRIPTION),
        uuid=members.resource_uuid(),
    )
    return Done(access_key_inventory(made.row, made.secret), SCHEMAS["accessKey"])


def remove_access_key(call: Call) -> Done:
    call.require_account()
    uuid = call.members("APIDeleteAccessKeyMsg").text("uuid")
    with suppress(ResourceNotFound):
        access_keys.delete(call.connection, uuid, account_uuid=call.scope)
    return Done()
