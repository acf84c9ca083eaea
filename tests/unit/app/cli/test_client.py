"""The command line finds its server, signs in and reads every page, against a small real server."""

import hashlib
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from app.cli.client import Client, Server, find_server, wait_until_ready
from app.cli.failures import ApiError, NoAnswer
from app.settings import Settings

LONG = 2_000_000  # more than aiohttp gives as one line


def test_the_environment_names_the_server(tmp_path: Path) -> None:
    environment = {
        "VMCLONE_URL": "http://clones:81/",
        "VMCLONE_USER": "ann",
        "VMCLONE_PASSWORD": "secret",
    }
    found = find_server(Settings(home=tmp_path), environment)
    assert found == Server("http://clones:81", "ann", "secret")


def test_else_it_is_the_embedded_stack_with_its_admin(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=8123, listen="0.0.0.0", admin_password=SecretStr("x"))
    assert find_server(settings, {}) == Server("http://127.0.0.1:8123", "admin", "x")


class Api:
    """Three items on pages of at most two; remembers who is signed in."""

    def __init__(self, *, starting: int = 0) -> None:
        self.sessions: set[str] = set()
        self.starting = starting  # how often it still says that it is not ready

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_put("/zstack/v1/accounts/login", self.log_in)
        application.router.add_delete("/zstack/v1/accounts/sessions/{uuid}", self.log_out)
        application.router.add_put("/zstack/v1/vm-instances/{uuid}/actions", self.clone)
        application.router.add_get("/api/v1/clone-jobs/{uuid}/items", self.items)
        application.router.add_get("/api/v1/clone-jobs/{uuid}/events", self.events)
        application.router.add_get("/readyz", self.readyz)
        return application

    async def readyz(self, request: web.Request) -> web.Response:
        self.starting -= 1
        return web.json_response(
            {"worker": self.starting < 0}, status=503 if self.starting >= 0 else 200
        )

    async def log_in(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["logInByAccount"]["password"] != hashlib.sha512(b"secret").hexdigest():
            error = {"code": "ID.1000", "details": "wrong account name or password"}
            return web.json_response({"error": error}, status=503)
        self.sessions.add("s")
        return web.json_response({"inventory": {"uuid": "s"}})

    async def log_out(self, request: web.Request) -> web.Response:
        self.sessions.discard(request.match_info["uuid"])
        return web.json_response({})

    async def clone(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "OAuth s"
        assert (await request.json()) == {"cloneVmInstance": {"names": ["a"]}}
        return web.json_response(
            {"location": f"http://elsewhere/zstack/v1/api-jobs/{'1' * 32}"}, status=202
        )

    async def items(self, request: web.Request) -> web.Response:
        first, limit = int(request.query["after"]) + 1, int(request.query["limit"])
        page = [{"ordinal": n} for n in range(3)][first : first + limit]
        following = page[-1]["ordinal"] if len(page) == limit else None
        return web.json_response({"items": page, "next": following})

    async def events(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Last-Event-ID"] == "6"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": a comment\n\nid: 7\nevent: job\r\ndata: {}\r\n\r\nid: 8\n")
        await response.write(b'event: items\ndata: {"items": ["' + b"x" * LONG + b'"]}\n\nid: 9\n')
        return response


async def test_events_are_read_whole_however_long() -> None:
    async with TestServer(Api().application()) as server:
        url = str(server.make_url("")).rstrip("/")
        async with Client(Server(url, "admin", "secret")) as client:
            events = [event async for event in client.events("1" * 32, "6")]
    assert events == [("7", {"job": {}}), ("8", {"items": {"items": ["x" * LONG]}})]


async def test_a_session_is_opened_used_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.client._ITEMS_PAGE", 2)
    api = Api()
    async with TestServer(api.application()) as server:
        async with Client(
            Server(str(server.make_url("")).rstrip("/"), "admin", "secret")
        ) as client:
            await client.log_in()
            assert api.sessions == {"s"}
            assert await client.clone("v", {"names": ["a"]}) == "1" * 32
            assert [item["ordinal"] for item in await client.items("1" * 32)] == [0, 1, 2]
        assert api.sessions == set()


async def test_a_refusal_is_told_in_the_servers_words() -> None:
    async with TestServer(Api().application()) as server:
        url = str(server.make_url("")).rstrip("/")
        async with Client(Server(url, "admin", "wrong")) as client:
            with pytest.raises(ApiError, match=r"^wrong account name or password$"):
                await client.log_in()


async def test_a_server_that_is_not_there_is_named() -> None:
    async with Client(Server("http://127.0.0.1:1", "admin", "x")) as client:
        with pytest.raises(NoAnswer, match=r":1 does not answer: Connection refused$"):
            await client.log_in()


async def test_waiting_ends_when_the_server_is_ready() -> None:
    api = Api(starting=2)
    async with TestServer(api.application()) as server:
        url = str(server.make_url("")).rstrip("/")
        await wait_until_ready(Server(url, "admin", "secret"), timeout_s=30)
    assert api.starting < 0


async def test_waiting_is_given_up_with_what_the_server_said() -> None:
    async with TestServer(Api(starting=10**6).application()) as server:
        url = str(server.make_url("")).rstrip("/")
        with pytest.raises(ApiError, match=r'503 .*"worker": false'):
            await wait_until_ready(Server(url, "admin", "secret"), timeout_s=0)
