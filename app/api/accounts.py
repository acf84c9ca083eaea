"""Accounts and users: create, update, delete. Each is a job, as on ZStack, that is done at once."""

from contextlib import suppress
from typing import Any

from aiohttp import web

from app.api.bodies import read_object
from app.api.done_jobs import Call, Done, answer_as_job
from app.api.paths import api_path
from app.domain.errors import InvalidArgument, PermissionDenied, ResourceNotFound
from app.store import account_edits
from app.store.models import AccountType
from app.zstack.forms import BadRequest, action_of
from app.zstack.identity import SCHEMAS, account_inventory, user_inventory
from app.zstack.members import MAX_DESCRIPTION


async def post_account(request: web.Request) -> web.Response:
    return await answer_as_job(request, create_account, created_with(await read_object(request)))


async def put_account(request: web.Request) -> web.Response:
    body = await read_object(request)
    _, parameters = action_of(body, ["updateAccount"], path=api_path(request))
    uuid = request.match_info["uuid"]
    return await answer_as_job(request, update_account, parameters | {"uuid": uuid})


async def delete_account(request: web.Request) -> web.Response:
    return await answer_as_job(request, remove_account, {"uuid": request.match_info["uuid"]})


async def post_user(request: web.Request) -> web.Response:
    return await answer_as_job(request, create_user, created_with(await read_object(request)))


async def put_user(request: web.Request) -> web.Response:
    body = await read_object(request)
    _, parameters = action_of(body, ["updateUser"], path=api_path(request))
    return await answer_as_job(request, update_user, parameters)


async def delete_user(request: web.Request) -> web.Response:
    return await answer_as_job(request, remove_user, {"uuid": request.match_info["uuid"]})


def created_with(body: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a POST. Raises BadRequest."""
    parameters = body.get("params")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise BadRequest("the value of [params] must be a JSON object")
    return dict(parameters)


def create_account(call: Call) -> Done:
    call.require_admin()
    members = call.members("APICreateAccountMsg")
    kinds = list(AccountType)
    row = account_edits.create_account(
        call.connection,
        name=members.text("name"),
        password_hash=_password(call, "APICreateAccountMsg"),
        kind=AccountType(members.one_of("type", kinds, AccountType.NORMAL)),
        description=members.optional_text("description", MAX_DESCRIPTION),
        uuid=members.resource_uuid(),
    )
    return Done(account_inventory(row), SCHEMAS["account"])


def update_account(call: Call) -> Done:
    """An account changes itself, an administrator any; a new name is an administrator's to give."""
    call.require_account()
    members = call.members("APIUpdateAccountMsg")
    uuid = members.optional_text("uuid") or call.caller.account_uuid
    name = members.optional_text("name") or None
    if call.scope not in (None, uuid):
        raise PermissionDenied(f"account[uuid:{uuid}] is another account")
    if name is not None:
        call.require_admin()
    row = account_edits.update_account(
        call.connection,
        uuid,
        name=name,
        password_hash=call.password_hash,
        description=members.optional_text("description", MAX_DESCRIPTION),
        keep_session=call.session_uuid,
    )
    return Done(account_inventory(row), SCHEMAS["account"])


def remove_account(call: Call) -> Done:
    """An unknown one is gone already, as for each of ZStack's deletions."""
    call.require_admin()
    with suppress(ResourceNotFound):
        account_edits.delete_account(
            call.connection, call.members("APIDeleteAccountMsg").text("uuid")
        )
    return Done()


def create_user(call: Call) -> Done:
    """Of the calling account."""
    call.require_account()
    members = call.members("APICreateUserMsg")
    row = account_edits.create_user(
        call.connection,
        call.caller.account_uuid,
        name=members.text("name"),
        password_hash=_password(call, "APICreateUserMsg"),
        description=members.optional_text("description", MAX_DESCRIPTION),
        uuid=members.resource_uuid(),
    )
    return Done(user_inventory(row), SCHEMAS["user"])


def update_user(call: Call) -> Done:
    """A user changes its own password and description, its account all of it."""
    members = call.members("APIUpdateUserMsg")
    uuid = members.optional_text("uuid") or call.caller.user_uuid or call.caller.account_uuid
    name = members.optional_text("name") or None
    if uuid != call.caller.user_uuid or name is not None:
        call.require_account()
    row = account_edits.update_user(
        call.connection,
        uuid,
        account_uuid=call.scope,
        name=name,
        password_hash=call.password_hash,
        description=members.optional_text("description", MAX_DESCRIPTION),
        keep_session=call.session_uuid,
    )
    return Done(user_inventory(row), SCHEMAS["user"])


def remove_user(call: Call) -> Done:
    call.require_account()
    uuid = call.members("APIDeleteUserMsg").text("uuid")
    account_edits.delete_user(call.connection, uuid, account_uuid=call.scope)
    return Done()


def _password(call: Call, message: str) -> str:
    if call.password_hash is None:
        raise InvalidArgument(
            f"field[password] of message[{message}] is mandatory, can not be null"
        )
    return call.password_hash
