"""`/openapi.json`: OpenAPI 3.1 of both surfaces, made once from what the handlers use."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from app.api.openapi import zstack
from app.api.openapi.bodies import CloneParameters, Problem
from app.api.openapi.examples import DEMO_VM, OF_PATHS
from app.api.openapi.operations import OWN, Json, Operation
from app.api.paths import OWN_PREFIX
from app.api.responses import tagged

PROBLEM = "application/problem+json"
_TEMPLATE = "#/components/schemas/{model}"
_ABOUT = (
    "Clones virtual machines in bulk. `/api/v1` is vmclone's own surface; `/zstack/v1` speaks "
    "ZStack's API, whose clients work unchanged. Sign in above, then try."
)
_ETAG = {"ETag": "for If-None-Match"}
_AWAY = {"Retry-After": "seconds until it is worth another try"}
_UUIDS = {"uuid": "the job's, the VM's or whatever the path names", "item": "the name's"}

Key = tuple[str, JsonSchemaMode, int | str]


async def openapi(request: web.Request) -> web.Response:
    return tagged(request, document())


@cache
def document() -> Json:
    operations = [*OWN, *zstack.operations()]
    schemas, components = _schemas(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "vmclone", "version": version("vmclone"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "OAuth <session uuid>, of LogInByAccount",
                },
                "cookie": {"type": "apiKey", "in": "cookie", "name": "vmclone_session"},
            },
        },
        "security": [{"session": []}, {"cookie": []}],
        "x-example-vm": DEMO_VM,  # the try-it page puts one that is there in its place
    }


def _schemas(operations: Sequence[Operation]) -> tuple[dict[Key, Json], Json]:
    """By operation and place; and what several of them share, by name."""
    inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        (("", "problem"), "serialization", TypeAdapter(Problem)),
        (("", "clone"), "validation", TypeAdapter(CloneParameters)),
    ]
    for operation in operations:
        for status, answer in operation.answers.items():
            if answer is not None:
                key = (operation.name, status)
                inputs.append((key, "serialization", TypeAdapter(answer)))
        if operation.body is not None and not isinstance(operation.body, dict):
            key_of_body = (operation.name, "body")
            inputs.append((key_of_body, "validation", TypeAdapter(operation.body)))
    made, shared = TypeAdapter.json_schemas(inputs, ref_template=_TEMPLATE)
    found = {(*key, mode): schema for (key, mode), schema in made.items()}
    return found, shared.get("$defs", {})


def _operation(operation: Operation, schemas: dict[Any, Json]) -> Json:
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": dict(_responses(operation, schemas)),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.is_open:
        described["security"] = []
    if operation.body is not None:
        described["requestBody"] = _body(operation, schemas)
    return described


def _body(operation: Operation, schemas: dict[Any, Json]) -> Json:
    given = operation.body
    schema = given if isinstance(given, dict) else schemas[operation.name, "body", "validation"]
    content: Json = {"schema": schema}
    if operation.examples:
        content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
    return {"required": True, "content": {"application/json": content}}


def _responses(operation: Operation, schemas: dict[Any, Json]) -> Iterator[tuple[str, Json]]:
    for status, answer in operation.answers.items():
        described: Json = {"description": HTTPStatus(status).phrase}
        if answer is not None:
            schema = schemas[operation.name, status, "serialization"]
            described["content"] = {operation.content: {"schema": schema}}
        headers = dict(operation.answer_headers)
        if "If-None-Match" in operation.headers:
            headers |= _ETAG
        yield str(status), described | _with_headers(headers)
    if "If-None-Match" in operation.headers:
        yield "304", {"description": "Not Modified"} | _with_headers(_ETAG)
    problem = {PROBLEM: {"schema": {"$ref": _TEMPLATE.format(model="Problem")}}}
    for status in _refusals(operation):
        described = {"description": HTTPStatus(status).phrase, "content": problem}
        yield str(status), described | _with_headers(_AWAY if status == 503 else {})
    if operation.path.startswith(zstack.ROOT):
        text = {"text/plain": {"schema": {"type": "string"}}}
        yield "default", {"description": "the request is wrong: why, as text", "content": text}


def _refusals(operation: Operation) -> list[int]:
    """Its own, and what may become of any request of our own surface."""
    found = set(operation.refusals)
    if operation.path.startswith(OWN_PREFIX):
        found |= {500, 503} | ({408} if operation.body is not None else set())
    return sorted(found - set(operation.answers))


def _with_headers(headers: Mapping[str, str]) -> Json:
    text = {"type": "string"}
    described = {name: {"description": does, "schema": text} for name, does in headers.items()}
    return {"headers": described} if described else {}


def _parameters(operation: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", operation.path):
        described: Json = {
            "name": name,
            "in": "path",
            "required": True,
            "description": _UUIDS[name],
            "schema": {"type": "string", "pattern": "^[^/{}\\u0000]+$"},
        }
        known = OF_PATHS.get(operation.path.removeprefix(zstack.ROOT).split("/")[1])
        yield described | ({"example": known} if known else {})
    if operation.query is not None:
        schema = operation.query.model_json_schema(ref_template=_TEMPLATE)
        for name, member in schema["properties"].items():
            yield {
                "name": name,
                "in": "query",
                "description": member.pop("description", ""),
                "schema": _without_null(_inlined(member, schema.get("$defs", {}))),
            }
    yield from operation.parameters
    for name, does in operation.headers.items():
        yield {"name": name, "in": "header", "description": does, "schema": {"type": "string"}}


def _inlined(member: Any, shared: Json) -> Any:
    """Parameters are small: what they share stands in each."""
    if isinstance(member, list):
        return [_inlined(each, shared) for each in member]
    if not isinstance(member, dict):
        return member
    if "$ref" in member:
        return shared[member["$ref"].rsplit("/", 1)[1]]
    return {name: _inlined(value, shared) for name, value in member.items()}


def _without_null(member: Json) -> Json:
    """A parameter that is not known is left out: an address has no null."""
    left = [part for part in member.get("anyOf", []) if part != {"type": "null"}]
    if not left:
        return member
    rest = {name: value for name, value in member.items() if name not in {"anyOf", "default"}}
    return rest | (left[0] if len(left) == 1 else {"anyOf": left})
