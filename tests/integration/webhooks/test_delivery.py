"""Callbacks against a real endpoint: delivered as ZStack sends them, tried again, given up."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from app.domain.errors import VmStartFailed
from app.settings import Settings
from app.store import webhooks
from app.store.session import Database
from tests.engine import Engine, faked_engine
from tests.factories import Inventory, make_inventory, make_job
from tests.integration.engine.test_trouble import fails
from workers.webhooks.delivery import Postman
from workers.webhooks.signature import key_of, sign

DEADLINE_S = 20
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Endpoint:
    """Remembers what it was sent; `answers` are its next statuses, then 200."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.hangs = False
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append((dict(request.headers), await request.read()))
        if self.hangs:
            await asyncio.sleep(3600)
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": self.url})


@pytest.fixture
async def endpoints(aiohttp_server: Callable[[web.Application], Awaitable[TestServer]]) -> Any:
    async def make() -> Endpoint:
        endpoint = Endpoint()
        app = web.Application()
        app.router.add_post("/hook", endpoint.handle)
        server = await aiohttp_server(app)
        endpoint.url = str(server.make_url("/hook"))
        return endpoint

    return make


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    with faked_engine(database_url, Settings(home=tmp_path)) as (engine, _, _):
        yield engine


@pytest.fixture
def inventory(engine: Engine) -> Inventory:
    with engine.database.engine.begin() as connection:
        return make_inventory(connection)


def owed(engine: Engine, inventory: Inventory, url: str, *names: str, **parameters: Any) -> str:
    """A finished job whose callback is owed."""
    source = parameters.pop("source", inventory.source)
    with engine.database.engine.begin() as connection:
        job = make_job(connection, source, names or ("a",), **parameters)
        connection.exec_driver_sql(
            "UPDATE jobs SET web_hook = %s, wants_schema = TRUE WHERE uuid = %s", (url, job)
        )
    engine.start(job)
    return job


def row(engine: Engine, job: str) -> Any:
    return engine.rows("SELECT * FROM webhooks WHERE job_uuid = :job", job=job)[0]


@asynccontextmanager
async def postman(engine: Engine, **settings: Any) -> AsyncIterator[None]:
    stopped = asyncio.Event()
    running = asyncio.create_task(Postman(Settings(**settings), engine.database).run(stopped))
    try:
        yield
    finally:
        stopped.set()
        # A thread of its that is at the database ends first; who calls for long is not waited for.
        await asyncio.wait({running}, timeout=1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.02)


async def test_delivered_once_with_the_poll_s_body_and_its_headers(
    engine: Engine, inventory: Inventory, endpoints: Any
) -> None:
    endpoint = await endpoints()
    job = owed(engine, inventory, endpoint.url, "a", "b")
    async with postman(engine):
        await until(lambda: row(engine, job).delivered_at is not None)
    ((headers, body),) = endpoint.calls
    assert headers["X-Job-UUID"] == job
    assert (headers["X-Job-Success"], headers["X-Job-Batch"]) == ("true", "SUCCESS")
    assert "webhook-signature" not in headers
    sent = json.loads(body)
    assert sent.pop("schema")["result"] == "org.zstack.header.vm.CloneVmInstanceResults"
    assert sent == json.loads(bytes(engine.scalar("SELECT body FROM job_results")))


async def test_partly_and_wholly_failed_jobs_say_so(
    engine: Engine, inventory: Inventory, endpoints: Any
) -> None:
    endpoint = await endpoints()
    engine.worker.fake_hypervisor.before = fails("start", VmStartFailed())  # type: ignore[union-attr]
    partial = owed(engine, inventory, endpoint.url, "a", "b")
    refused = owed(engine, inventory, endpoint.url, source="0" * 32)
    async with postman(engine):
        await until(lambda: len(endpoint.calls) == 2)
    said = {h["X-Job-UUID"]: (h["X-Job-Success"], h["X-Job-Batch"]) for h, _ in endpoint.calls}
    assert said == {partial: ("true", "PARTIAL"), refused: ("false", "FAIL")}


async def test_signed_where_a_secret_is_configured(
    engine: Engine, inventory: Inventory, endpoints: Any
) -> None:
    endpoint = await endpoints()
    job = owed(engine, inventory, endpoint.url)
    settings: dict[str, Any] = {"webhook_secret": SecretStr(SECRET)}
    async with postman(engine, **settings):
        await until(lambda: row(engine, job).delivered_at is not None)
    ((headers, body),) = endpoint.calls
    key = key_of(Settings(**settings))
    assert key is not None
    expected = sign(key, row(engine, job).uuid, int(headers["webhook-timestamp"]), body)
    assert {name: headers[name] for name in expected} == expected


async def test_an_endpoint_that_fails_is_tried_again_under_the_same_id(
    engine: Engine, inventory: Inventory, endpoints: Any
) -> None:
    endpoint = await endpoints()
    endpoint.answers = [500, 301]
    job = owed(engine, inventory, endpoint.url)
    async with postman(engine, webhook_secret=SecretStr(SECRET)):
        for tries, error in ((1, "answered 500"), (2, "redirects are not followed")):
            await until(
                lambda e=error: e in (row(engine, job).last_error or "")  # type: ignore[misc]
            )
            assert row(engine, job).attempts == tries
            with engine.database.engine.begin() as connection:
                connection.exec_driver_sql("UPDATE webhooks SET not_before = now()")
        await until(lambda: row(engine, job).delivered_at is not None)
    assert len(endpoint.calls) == 3
    assert len({headers["webhook-id"] for headers, _ in endpoint.calls}) == 1


async def test_an_endpoint_that_hangs_holds_up_no_other(
    engine: Engine, inventory: Inventory, endpoints: Any
) -> None:
    slow, quick = await endpoints(), await endpoints()
    slow.hangs = True
    for _ in range(10):
        owed(engine, inventory, slow.url)
    async with postman(engine):
        await until(lambda: len(slow.calls) == 10)
        job = owed(engine, inventory, quick.url)
        await until(lambda: row(engine, job).delivered_at is not None)
        idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        assert engine.scalar(idle) == 0, "no transaction is open during a call"


async def test_a_try_that_nothing_was_heard_of_is_made_again(
    engine: Engine, inventory: Inventory, endpoints: Any
) -> None:
    endpoint = await endpoints()
    job = owed(engine, inventory, endpoint.url)
    # As a process does that dies between its claim and the answer.
    (claimed,) = webhooks.claim(engine.database, limit=9, again_s=12)
    assert claimed.job_uuid == job
    assert webhooks.claim(engine.database, limit=9, again_s=12) == []
    with engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE webhooks SET not_before = now()")
    async with postman(engine):
        await until(lambda: row(engine, job).delivered_at is not None)
    assert row(engine, job).attempts == 2


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest", "metadata"),
        ("http://0.0.0.0:1/x", "not the address of one machine"),
        ("http://[fe80::1]/x", "link-local"),
        ("http://u:p@10.0.0.1/x", "credentials"),
    ],
)
async def test_an_address_that_is_refused_is_given_up_at_once(
    engine: Engine, inventory: Inventory, url: str, why: str
) -> None:
    job = owed(engine, inventory, url)
    async with postman(engine):
        await until(lambda: row(engine, job).given_up_at is not None)
    assert why in row(engine, job).last_error
    assert row(engine, job).attempts == 1


async def test_loopback_is_refused_where_the_servers_are_not_embedded(
    engine: Engine, inventory: Inventory, endpoints: Any, database: Database
) -> None:
    endpoint = await endpoints()
    by_name = endpoint.url.replace("127.0.0.1", "localhost")
    jobs = [owed(engine, inventory, url) for url in (endpoint.url, by_name)]
    elsewhere = {"database_url": SecretStr("x"), "broker_url": SecretStr("x")}
    async with postman(engine, **elsewhere):
        await until(lambda: all(row(engine, job).given_up_at is not None for job in jobs))
    assert endpoint.calls == []
    assert "this machine itself" in row(engine, jobs[1]).last_error


async def test_after_a_day_it_is_given_up(
    engine: Engine, inventory: Inventory, endpoints: Any
) -> None:
    endpoint = await endpoints()
    endpoint.answers = [500]
    job = owed(engine, inventory, endpoint.url)
    with engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE webhooks SET created_at = now() - interval '25 hours', attempts = 40"
        )
    async with postman(engine):
        await until(lambda: row(engine, job).given_up_at is not None)
    assert len(endpoint.calls) == 1
