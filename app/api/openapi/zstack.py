"""ZStack's surface in the OpenAPI document, from the tables that answer it."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field
from typing_extensions import TypedDict

from app.api.asked import Asked, Text
from app.api.openapi.bodies import CloneParameters
from app.api.openapi.examples import OF_MESSAGES
from app.api.openapi.operations import Json, Operation, reference
from app.zstack import messages
from app.zstack.messages import CLONE, Message
from app.zstack.resources import QUERIES, Resource

ROOT = "/zstack/v1"
_OPEN = frozenset(
    {
        "LogInByAccount",
        "LogInByUser",
        "LogOut",
        "ValidateSession",
        "GetVersion",
        "GetCurrentTime",
        "GetSupportAPIs",
        "QueryManagementNode",
        "IsReadyToGo",
    }
)


class Accepted(TypedDict):
    """The job's place, to be asked until it is 200 or 503."""

    location: str
    apiTimeout: int


class Failure(TypedDict):
    error: dict[str, Any]


class QueryReply(TypedDict, total=False):
    inventories: list[dict[str, Any]]
    total: int
    schema: dict[str, str]


class QueryAsked(Asked):
    q: list[Text] | None = Field(
        None, description="a condition: name=web, cpuNum>=2, …; all of them hold"
    )
    limit: int | None = Field(None, ge=0, description="1000 where it is left out")
    start: int | None = Field(None, ge=0)
    count: bool | None = Field(None, description="the number alone")
    replyWithCount: bool | None = Field(None, description="the number, too")  # noqa: N815
    sort: Text | None = Field(None, description="a member, with + or - before it")
    fields: Text | None = Field(None, description="only these members, with commas between")


def operations() -> Iterator[Operation]:
    for method, path in messages.paths():
        yield _of_messages(method, path, messages.messages_of(method, path))
    for resource in QUERIES.values():
        if resource.path:
            yield from _of_query(resource)
    yield from _ACCESS_KEYS
    yield _POLL


def _of_messages(method: str, path: str, sharing: list[Message]) -> Operation:
    names = [message.name for message in sharing]
    waits = any(message.kind is not None or message.is_async for message in sharing)
    return Operation(
        name=names[0] if len(names) == 1 else f"{names[0]}And{len(names) - 1}More",
        method=method.lower(),
        path=ROOT + path,
        tag=_tag(path),
        summary=", ".join(names),
        answers={202: Accepted} if waits else {200: dict[str, Any], 503: Failure},
        body={"anyOf": [_body(message) for message in sharing]}
        if method in {"PUT", "POST"}
        else None,
        examples={
            title: example
            for title, example in OF_MESSAGES.items()
            if title.partition(",")[0] in names
        },
        headers={"X-Job-UUID": "the job's uuid, 32 characters"} if waits else {},
        refusals=(),
        is_open=all(name in _OPEN for name in names),
        parameters=_of_address(sharing[0]) if method in {"GET", "DELETE"} else (),
        description="The body's key picks the message." if len(names) > 1 else "",
    )


def _body(message: Message) -> Json:
    """Its parameters below its own key, or below `params` where it creates."""
    key = "params" if message.method == "POST" else message.action
    of_clone = {"$ref": reference(CloneParameters)}
    return {
        "type": "object",
        "title": message.name,
        "required": [key],
        "properties": {key: of_clone if message is CLONE else _parameters(message)},
    }


def _parameters(message: Message) -> Json:
    properties: Json = {
        **{field: {"type": "boolean"} for field in message.booleans},
        **{field: {"type": "integer"} for field in message.integers},
        **{field: {"type": "array"} for field in message.lists},
        **{field: {"type": "string"} for field in message.texts},
    }
    return {"type": "object", "properties": properties}


def _of_address(message: Message) -> tuple[Json, ...]:
    given = [(field, "string") for field in message.texts]
    if message.name == "GetTaskProgress":
        given.append(("all", "boolean"))
    return tuple({"name": name, "in": "query", "schema": {"type": kind}} for name, kind in given)


def _of_query(resource: Resource) -> Iterator[Operation]:
    tag, path = _tag(str(resource.path)), f"{ROOT}{resource.path}"
    yield Operation(
        resource.api,
        "get",
        path,
        tag,
        resource.api,
        {200: QueryReply, 503: Failure},
        query=QueryAsked,
        refusals=(),
    )
    yield Operation(
        f"{resource.api}ByUuid",
        "get",
        f"{path}/{{uuid}}",
        tag,
        f"{resource.api}, by uuid",
        {200: QueryReply, 503: Failure},
        refusals=(),
        description="A list of one, or an empty one.",
    )


def _tag(path: str) -> str:
    return f"ZStack: {path.split('/')[1]}"


_ACCESS_KEYS = (
    Operation(
        "CreateAccessKey",
        "post",
        f"{ROOT}/accesskeys",
        "ZStack: accesskeys",
        "CreateAccessKey",
        {202: Accepted},
        body=dict[str, Any],
        refusals=(),
        examples={"CreateAccessKey": {"params": {"description": "for the nightly job"}}},
    ),
    Operation(
        "DeleteAccessKey",
        "delete",
        f"{ROOT}/accesskeys/{{uuid}}",
        "ZStack: accesskeys",
        "DeleteAccessKey",
        {202: Accepted},
        refusals=(),
    ),
)
_POLL = Operation(
    "pollJob",
    "get",
    f"{ROOT}/api-jobs/{{uuid}}",
    "ZStack: api-jobs",
    "Ask for a job's result",
    {202: dict[str, Any], 200: dict[str, Any], 503: Failure},
    is_open=True,
    refusals=(),
    headers={
        "Prefer": "wait=N: wait for the end for N seconds, 25 at most",
        "X-JSON-Schema": "any value: the result has its schema",
    },
    description="Needs no credentials: the job's uuid is one. 202 while it runs.",
)
