"""What a caller may send that is no request: refused at once with a clear 4xx, and never a fault of
ours, whatever it is."""

import asyncio
import gzip
import io
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.api import bodies
from app.zstack.forms import parse_object
from tests.integration.api.conftest import Api, exchange
from tests.integration.api.test_paths import raw

VM = "a" * 32
ACTIONS = f"/zstack/v1/vm-instances/{VM}/actions"
GOOD = b'{"cloneVmInstance":{"names":["a"]}}'
NO_ACTION = f"the body doesn't contain action mapping to the URL[/v1/vm-instances/{VM}/actions]"
DOORS = [
    ("PUT", "/v1/accounts/login", 400),
    ("PUT", ACTIONS, 400),
    ("POST", "/v1/accounts", 400),
    ("POST", "/v1/longjobs", 400),
    ("POST", "/api/v1/clone-jobs", 400),
    ("POST", "/zstack/api", 200),  # a body that is no message is answered with the reason as text
]
NO_OBJECTS = [
    (b"", "the body is empty"),
    (b"[]", "the body is not a JSON object"),
    (b'{"a":1,"a":2}', "member 'a' stands twice"),
    (b'{"a":' * 33 + b"1" + b"}" * 33, "the body nests deeper than 32 levels"),
    (b"[" * 100_000, "the body nests deeper than 32 levels"),
    (b'{"a":9223372036854775808}', "a number does not fit in 64 bits"),
    (b'{"a":' + b"9" * 300_000 + b"}", "a number does not fit in 64 bits"),
    (b'{"a":"\xff"}', "the body is not UTF-8"),
    (b'{"a":"\\ud800"}', "unpaired surrogate"),
    (b'{"a":NaN}', "NaN is no JSON value"),
]


@pytest.mark.parametrize(("method", "path", "status"), DOORS)
async def test_a_body_that_is_no_strict_json_object_is_refused_at_every_door(
    api: Api, signed_in: dict[str, str], method: str, path: str, status: int
) -> None:
    for body, text in NO_OBJECTS:
        answer = await api.request(method, path, data=body, headers=signed_in)
        said = await answer.text()
        assert (answer.status, text in said) == (status, True), (body[:40], said)


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        (b"{}", {}, NO_ACTION),
        (b'{"cloneVmInstance":5}', {}, "must be a JSON object"),
        (b'{"cloneVmInstance":{"full":"maybe"}}', {}, "Invalid value for boolean field [full]"),
        (b'{"cloneVmInstance":{"names":"x"}}', {}, "[names] field is expected a list"),
        (GOOD, {"X-Job-UUID": "a" * 31}, "Invalid header[X-Job-UUID]"),
        (GOOD, {"X-API-Timeout": "soon"}, "Invalid header[X-API-Timeout]"),
        (GOOD, {"X-Web-Hook": "mailto:x"}, "Invalid header[X-Web-Hook]"),
        (GOOD, {"Content-Encoding": "gzip"}, "the body cannot be read: Can not decode"),
        (GOOD, {"Content-Encoding": "deflate"}, "the body cannot be read: Can not decode"),
    ],
)
async def test_a_malformed_submission_is_400_at_once(
    api: Api, signed_in: dict[str, str], body: bytes, headers: dict[str, str], text: str
) -> None:
    answer = await api.put(ACTIONS, data=body, headers=signed_in | headers)
    assert answer.status == 400
    assert text in await answer.text()


@pytest.mark.parametrize("path", ["/v1/accounts/login", ACTIONS])
async def test_bodies_over_their_limit_are_413_declared_or_not_and_packed_too(
    api: Api, path: str
) -> None:
    size = (bodies.CLONE_SUBMISSION if path == ACTIONS else bodies.SMALL) + 1
    body = b" " * size
    packed = {"Content-Encoding": "gzip"}
    for data, headers in (
        (io.BytesIO(body), {}),
        (parts_of(body), {}),
        (io.BytesIO(gzip.compress(body)), packed),
    ):
        answer = await api.put(path, data=data, headers=headers)
        assert answer.status == 413
        assert "too large" in await answer.text() or f"{size} bytes" in await answer.text()


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/v1/vm-instances", "".join(f"X-{number}: y\r\n" for number in range(10_000))),
        ("/v1/vm-instances", "Authorization: OAuth x\r\n" * 1000),
        ("/v1/vm-instances", f"X: {'y' * 100_000}\r\n"),
        ("/v1/vm-instances", f"{'X' * 100_000}: y\r\n"),
        (f"/v1/vm-instances?q={'x' * 100_000}", ""),
        ("/v1/vm-instances", "X: \x00\r\n"),
        (ACTIONS, "Content-Length: -1\r\n"),
        (ACTIONS, f"Content-Length: {'9' * 30}\r\n"),
        (ACTIONS, "Content-Length: 3\r\nContent-Length: 4\r\n"),
        (ACTIONS, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
    ],
)
async def test_floods_of_headers_and_false_lengths_are_400(
    api: Api, target: str, headers: str
) -> None:
    answer = await raw(api, target, headers, method="PUT" if target == ACTIONS else "GET")
    assert answer.split()[1] == b"400"
    assert b"Traceback" not in answer


@pytest.mark.parametrize("cookie", ['"\\000"', '"a\\000b"', '"\\377"', "\xff", "\xc3\xa9", '"'])
@pytest.mark.parametrize(
    ("target", "status"), [("/api/v1/session", b"401"), ("/v1/vm-instances", b"400")]
)
async def test_a_cookie_that_could_be_none_of_ours_is_none(
    api: Api, target: str, status: bytes, cookie: str
) -> None:
    answer = await raw(api, target, f"Cookie: vmclone_session={cookie}\r\n")
    if cookie == '"':
        status = status.replace(b"400", b"503")  # it could be one, and is not
    assert answer.split()[1] == status


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "inf", "-1e300", "%00"]
)
async def test_a_moment_that_is_none_is_400(
    api: Api, signed_in: dict[str, str], moment: str
) -> None:
    for name in ("createdAfter", "createdBefore"):
        answer = await raw(
            api,
            f"/api/v1/clone-jobs?{name}={moment}",
            f"Authorization: {signed_in['Authorization']}\r\n",
        )
        assert answer.split()[1] == b"400"
        assert f"[{name}] ".encode() in answer


async def submitted_to(api: Api, host: str) -> bytes:
    head = f"PUT {ACTIONS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: OAuth x\r\n"
    rest = f"Connection: close\r\nContent-Length: {len(GOOD)}\r\n\r\n"
    return await exchange(api, (head + rest).encode("latin-1") + GOOD)


@pytest.mark.parametrize("host", ["", "\xff", "a b", "x/../y", '"', "[::1", "x:99999999", "x@y"])
async def test_a_host_that_is_none_is_in_no_location(api: Api, host: str) -> None:
    answer = await submitted_to(api, host)
    assert answer.split()[1] == b"400"
    assert b"Invalid header[Host]" in answer


@pytest.mark.parametrize("host", ["localhost", "my_api.example.com:8080", "[::1]:80", "10.0.0.1"])
async def test_a_host_is_what_the_location_begins_with(api: Api, host: str) -> None:
    answer = await submitted_to(api, host)
    assert f'"location":"http://{host}/zstack/v1/api-jobs/'.encode() in answer


async def test_a_body_that_does_not_arrive_is_408(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr(bodies, "ARRIVES_WITHIN_S", 0.1)
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(f"PUT {ACTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    async with asyncio.timeout(20):
        answer = await reader.readuntil(b"the body did not arrive within 0.1 s")
    writer.close()
    assert answer.split()[1] == b"408"


async def test_a_client_that_goes_away_is_no_fault_of_ours(
    api: Api, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    noticed = asyncio.Event()
    arrived = bodies._arrived

    async def notices(request: Any) -> bytes:
        try:
            return await arrived(request)
        finally:
            noticed.set()

    monkeypatch.setattr(bodies, "_arrived", notices)
    _, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(f"PUT {ACTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    async with asyncio.timeout(20):
        await noticed.wait()
    assert (await api.get("/healthz")).status == 200
    assert "request failed" not in caplog.text


async def test_others_are_answered_while_a_large_body_is_read(api: Api, monkeypatch: Any) -> None:
    begun, answered = threading.Event(), threading.Event()

    def reads_for_long(body: bytes) -> dict[str, Any]:
        begun.set()
        assert answered.wait(20)
        return parse_object(body)

    monkeypatch.setattr(bodies, "parse_object", reads_for_long)
    large = b'{"names":["' + b"a" * bodies.PARSED_AT_ONCE + b'"]}'
    sending = asyncio.create_task(
        api.session.put(api.make_url(ACTIONS), data=large, headers={"Authorization": "OAuth x"})
    )
    assert await asyncio.to_thread(begun.wait, 20)
    assert (await api.get("/healthz")).status == 200
    answered.set()
    assert (await sending).status == 202


async def parts_of(body: bytes) -> AsyncIterator[bytes]:
    """Sent without its length."""
    for start in range(0, len(body), 1 << 20):
        yield body[start : start + (1 << 20)]
