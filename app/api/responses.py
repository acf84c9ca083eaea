"""Answers in the shapes of the two surfaces."""

import hashlib
from typing import Any

import orjson
from aiohttp import web

from app.domain.advice import advice_for
from app.domain.errors import CloneError
from app.store.codec import error_to_json
from app.zstack.results import error_result

JSON = "application/json"
PROBLEM = "application/problem+json"


def json_bytes(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=JSON, charset="utf-8")


def json_value(value: Any, *, status: int = 200) -> web.Response:
    return json_bytes(orjson.dumps(value), status=status)


def tagged(request: web.Request, value: Any) -> web.Response:
    """With an ETag; 304 where the caller has the same already."""
    response = json_value(value)
    assert isinstance(response.body, bytes)
    tag = hashlib.sha256(response.body).hexdigest()[:32]
    if any(etag.value in {tag, "*"} for etag in request.if_none_match or ()):
        response = web.Response(status=304)
    response.etag = tag
    return response


def plain_text(text: str, *, status: int) -> web.Response:
    return web.Response(text=text, status=status)


def zstack_error(error: CloneError) -> web.Response:
    """Any ErrorCode is a 503 on ZStack's surface."""
    return json_bytes(error_result(error.error_code), status=503)


def problem(status: int, title: str, detail: str, **more: str) -> web.Response:
    """RFC 9457."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return web.Response(body=orjson.dumps(body), status=status, content_type=PROBLEM)


def error_problem(status: int, error: CloneError) -> web.Response:
    """The same with the ErrorCode's code, and what to do about it."""
    advice = advice_for(error_to_json(error))
    return problem(status, error.description, error.details, code=error.code, advice=advice)
