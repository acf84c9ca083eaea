"""The legacy envelope: one message by its class in, its answer as text inside out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from app.domain.errors import CloneError, ResourceNotFound
from app.zstack.dates import format_date
from app.zstack.error_codes import error_code_body
from app.zstack.forms import BadRequest
from app.zstack.messages import BY_CLASS, Message, query_classes
from app.zstack.resources import Resource

_QUERIES = dict(query_classes())
_ENVELOPE = ("session", "timeout", "headers", "id", "serviceId")


@dataclass(frozen=True, slots=True)
class RpcCall:
    java_class: str
    session_uuid: str
    members: dict[str, Any]  # without what belongs to the envelope

    @property
    def message(self) -> Message | None:
        return BY_CLASS.get(self.java_class)

    @property
    def query(self) -> Resource | None:
        return _QUERIES.get(self.java_class)

    @property
    def query_answer_class(self) -> str:
        return self.java_class.removesuffix("Msg") + "Reply"


def parse_call(body: Mapping[str, Any]) -> RpcCall:
    """Raises BadRequest where the body is not one message."""
    if len(body) != 1:
        raise BadRequest("the body must be an object with one member: the API message's full class")
    ((java_class, given),) = body.items()
    members = {} if given is None else given
    if not isinstance(members, dict):
        raise BadRequest(f"the value of [{java_class[:200]}] must be a JSON object")
    session = members.get("session")
    uuid = session.get("uuid") if isinstance(session, dict) else None
    return RpcCall(
        java_class,
        # What no header could hold names no session.
        uuid if isinstance(uuid, str) and uuid.isascii() and uuid.isprintable() else "",
        {name: value for name, value in members.items() if name not in _ENVELOPE},
    )


@dataclass(frozen=True, slots=True)
class RestForm:
    """The same call as REST has it."""

    method: str
    path: str  # below /v1, not encoded
    query: list[tuple[str, str]]
    body: dict[str, Any]


def rest_form(message: Message, members: Mapping[str, Any]) -> RestForm:
    """Raises BadRequest where the member that stands in the path is missing, ResourceNotFound for
    one that would be more than one part of it, or another one's."""
    left, path = dict(members), message.path
    if "{uuid}" in path:
        path = path.replace("{uuid}", _path_part(message, left.pop(message.key, None)))
    query: list[tuple[str, str]] = []
    if message.method in {"GET", "DELETE"}:
        for name, value in left.items():
            values = value if isinstance(value, list) else [value]
            query += [(name, _text(each)) for each in values if each is not None]
    key = "params" if message.method == "POST" else message.action
    return RestForm(message.method, path, query, {key: left})


def _path_part(message: Message, uuid: Any) -> str:
    if not isinstance(uuid, str) or not uuid.strip():
        raise BadRequest(
            f"field[{message.key}] of message[{message.short_class}] is mandatory, can not be null"
        )
    if "/" in uuid or not uuid.strip(". "):
        raise ResourceNotFound(
            f"invalid field[{message.key}], resource[uuid:{uuid[:200]}, type:ResourceVO] not found"
        )
    return uuid


def processing(job_uuid: str, created_at: datetime) -> bytes:
    return orjson.dumps(
        {"uuid": job_uuid, "state": "Processing", "createdDate": format_date(created_at)}
    )


def done(
    answer_class: str,
    answer: Mapping[str, Any],
    created_at: datetime,
    finished_at: datetime,
    *,
    job_uuid: str | None = None,
) -> bytes:
    """`answer` is a REST body: with an `error`, or of a success."""
    members = {name: value for name, value in answer.items() if name not in ("schema", "success")}
    result = {answer_class: {"success": "error" not in answer} | members}
    body = {
        "state": "Done",
        "createdDate": format_date(created_at),
        "finishedDate": format_date(finished_at),
        "result": orjson.dumps(result).decode(),
    }
    return orjson.dumps(({"uuid": job_uuid} if job_uuid else {}) | body)


def refusal(error: CloneError) -> dict[str, Any]:
    return {"error": error_code_body(error.error_code)}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else orjson.dumps(value).decode()
