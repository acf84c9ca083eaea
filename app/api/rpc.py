"""`/zstack/api`: the same handlers behind the legacy envelope.

A message becomes the request that REST would have for it and takes its way through the same
routes; only queries, whose conditions a query string cannot hold unharmed, go straight to theirs.
"""

from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web
from yarl import URL

from app.api.bodies import CLONE_SUBMISSION, INNER_BODY, TooLarge, read_object
from app.api.callers import caller_of_session
from app.api.middlewares import errors
from app.api.queries import run_query
from app.api.responses import json_bytes, plain_text
from app.api.state import state_of
from app.domain.errors import (
    CloneError,
    InternalError,
    InvalidArgument,
    ResourceNotFound,
    SessionInvalid,
)
from app.store import intake
from app.store.intake import PollView
from app.zstack import rpc
from app.zstack.conditions import query_of_rpc
from app.zstack.forms import BadRequest
from app.zstack.messages import Message, of_kind
from app.zstack.resources import Resource
from app.zstack.rpc import RestForm, RpcCall


async def call_rpc(request: web.Request) -> web.Response:
    """Always 200; a body that cannot be read is answered with the reason as text."""
    began_at = datetime.now(UTC)
    try:
        # Of a copy: a request whose content was read cannot be copied any more.
        body = await read_object(request.clone(), limit=CLONE_SUBMISSION)
        call = rpc.parse_call(body)
    except (BadRequest, TooLarge) as error:
        return plain_text(str(error), status=200)
    query, message = call.query, call.message
    if query is not None:
        answer = await _query(request, call, query)
        return _done(call.query_answer_class, answer, began_at)
    if message is None:
        return plain_text(f"no API message has the class [{call.java_class[:200]}]", status=200)
    try:
        response = await _through_rest(request, call, rpc.rest_form(message, call.members))
    except BadRequest as error:
        refused = rpc.refusal(InvalidArgument(str(error)))
        return _done(message.answer_class, refused, began_at)
    except ResourceNotFound as error:
        return _done(message.answer_class, rpc.refusal(error), began_at)
    if response.status == 202:
        return await _accepted(request, message, response)
    return _done(message.answer_class, _answer_of(response), began_at)


async def rpc_result(request: web.Request) -> web.Response:
    uuid = request.match_info["uuid"]
    view = await intake.poll(state_of(request).pool, uuid)
    if view is None:
        return plain_text(f"no result of [{uuid[:64]}]", status=404)
    if view.status is None:
        return json_bytes(rpc.processing(uuid, view.created_at))
    return _ended(of_kind(view.kind), view, uuid)


async def _query(request: web.Request, call: RpcCall, resource: Resource) -> dict[str, Any]:
    state = state_of(request)
    try:
        query = query_of_rpc(resource, call.members)
        caller = await caller_of_session(state, call.session_uuid)
        if caller is None:
            raise SessionInvalid
        return await run_query(state, caller, resource, query)
    except BadRequest as error:
        return rpc.refusal(InvalidArgument(str(error)))
    except CloneError as error:
        return rpc.refusal(error)


async def _through_rest(request: web.Request, call: RpcCall, form: RestForm) -> web.Response:
    inner = request.clone(
        method=form.method,
        rel_url=URL.build(path=f"/zstack/v1{form.path}", query=form.query),
        headers={
            "Host": request.host,
            "Authorization": f"OAuth {call.session_uuid}",
        },
    )
    inner[INNER_BODY] = form.body
    match = await request.app.router.resolve(inner)
    match.add_app(request.app)
    match.freeze()
    inner._match_info = match  # as the application does with what comes by the network
    response = await errors(inner, match.handler)
    assert isinstance(response, web.Response)
    return response


def _answer_of(response: web.Response) -> dict[str, Any]:
    """A REST answer's object; a plain text is why the message was refused."""
    assert isinstance(response.body, bytes)
    if response.content_type == "application/json":
        answer: dict[str, Any] = orjson.loads(response.body)
        return answer
    if response.status >= 500:
        return rpc.refusal(InternalError())
    return rpc.refusal(InvalidArgument(response.body.decode()))


async def _accepted(request: web.Request, message: Message, response: web.Response) -> web.Response:
    """What the API did itself has ended by now, and is told at once."""
    uuid = str(response.headers["Location"])[-32:]
    view = await intake.poll(state_of(request).pool, uuid)
    if view is None:
        return _done(message.answer_class, rpc.refusal(InternalError()), datetime.now(UTC))
    if view.status is not None:
        return _ended(message, view, uuid)
    return json_bytes(rpc.processing(uuid, view.created_at))


def _ended(message: Message, view: PollView, uuid: str) -> web.Response:
    assert view.body is not None
    return json_bytes(
        rpc.done(
            message.answer_class,
            orjson.loads(view.body),
            view.created_at,
            view.finished_at or view.created_at,
            job_uuid=uuid,
        )
    )


def _done(answer_class: str, answer: dict[str, Any], began_at: datetime) -> web.Response:
    return json_bytes(rpc.done(answer_class, answer, began_at, datetime.now(UTC)))
