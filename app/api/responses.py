"""Answers in the shapes of the two surfaces."""

from typing import Any

import orjson
from aiohttp import web

from app.domain.errors import CloneError
from app.zstack.results import error_result

JSON = "application/json"
PROBLEM = "application/problem+json"


def json_bytes(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=JSON, charset="utf-8")


def json_value(value: Any, *, status: int = 200) -> web.Response:
    return json_bytes(orjson.dumps(value), status=status)


def plain_text(text: str, *, status: int) -> web.Response:
    return web.Response(text=text, status=status)


def zstack_error(error: CloneError) -> web.Response:
    """Any ErrorCode is a 503 on ZStack's surface."""
    return json_bytes(error_result(error.error_code), status=503)


def problem(status: int, title: str, detail: str, *, code: str | None = None) -> web.Response:
    """RFC 9457, with the ErrorCode's code where there is one."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if code is not None:
        body["code"] = code
    return web.Response(body=orjson.dumps(body), status=status, content_type=PROBLEM)
