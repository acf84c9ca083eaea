"""Request headers of ZStack's surface, checked in its order and with its texts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

from app.zstack.forms import BadRequest

MAX_TIMEOUT_S = 366 * 86400
_HOST = re.compile(r"([A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")


class NoCredentials(BadRequest):
    """Nobody says who calls. ZStack answers 400."""


@dataclass(frozen=True, slots=True)
class Session:
    """`Authorization: OAuth <uuid>`."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Signed:
    """`Authorization: ZStack <key id>:<signature>`, with the Date, which is signed too."""

    access_key_id: str
    signature: str
    date: str


def credential(headers: Mapping[str, str]) -> Session | Signed:
    """The header in one of its forms, which says nothing about who may call yet. Raises
    BadRequest, NoCredentials."""
    value = headers.get("Authorization")
    if value is None:
        raise NoCredentials("missing header 'Authorization'")
    if value.startswith("OAuth"):
        return Session(value.removeprefix("OAuth").strip().encode("ascii", "ignore").decode())
    if value.startswith("ZStack"):
        return _signed(value.removeprefix("ZStack").strip(), headers)
    raise BadRequest("Authorization type must be 'OAuth'")


def check_host(value: str | None) -> None:
    """Locations are made of it. Raises BadRequest where it names no host (RFC 9112, 3.2)."""
    if value is not None and not _HOST.fullmatch(value):
        raise BadRequest(f"Invalid header[Host], [{shown(value)}] is not a host with its port")


def _signed(value: str, headers: Mapping[str, str]) -> Signed:
    if value.count(":") != 1:
        raise BadRequest("accessKey format is 'ZStack AccessKeyId:Signature'")
    if "Date" not in headers:
        raise BadRequest("'Date' must be incuded in request header")
    key_id, _, signature = value.partition(":")
    return Signed(key_id, signature, headers["Date"])


@dataclass(frozen=True, slots=True)
class JobHeaders:
    job_uuid: str
    timeout_s: int | None
    web_hook: str | None
    wants_schema: bool
    request_ip: str | None  # as the caller states it, for the audit


def job_headers(headers: Mapping[str, str]) -> JobHeaders:
    """Raises BadRequest."""
    given = headers.get("X-Job-UUID")
    if given is not None and (len(given) != 32 or not given.isascii()):
        raise BadRequest("Invalid header[X-Job-UUID], it must be a UUID with '-' stripped")
    return JobHeaders(
        job_uuid=given or uuid4().hex,
        timeout_s=_timeout_s(headers.get("X-API-Timeout")),
        web_hook=_web_hook(headers.get("X-Web-Hook")),
        wants_schema="X-JSON-Schema" in headers,
        request_ip=shown(headers["X-Request-Ip"]) if "X-Request-Ip" in headers else None,
    )


def _timeout_s(value: str | None) -> int | None:
    if value is None:
        return None
    digits = value.strip()
    if not (
        digits.isascii()
        and digits.isdigit()
        and len(digits) <= 10
        and 0 < int(digits) <= MAX_TIMEOUT_S
    ):
        raise BadRequest(
            f"Invalid header[X-API-Timeout], [{shown(value)}] is not a number of seconds between "
            f"1 and {MAX_TIMEOUT_S}"
        )
    return int(digits)


def _web_hook(value: str | None) -> str | None:
    if value is not None and not _is_web_address(value):
        raise BadRequest("Invalid header[X-Web-Hook], it must be an absolute http or https URL")
    return value


def _is_web_address(value: str) -> bool:
    if len(value) > 2048 or not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket that closes nothing, a port that is no number
        return False


def shown(value: str) -> str:
    """Bytes of a header that are no UTF-8 arrive as lone surrogates, which nothing can encode."""
    return value[:64].encode("ascii", "replace").decode()
