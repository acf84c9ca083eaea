import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from pydantic import SecretStr

from app.api.main import DEFAULT_PASSWORD, create_app
from app.settings import Settings
from app.store import accounts
from app.store.accounts import sha512
from app.store.session import Database
from tests.engine import Engine, faked_engine
from tests.factories import ADMIN, Inventory, make_inventory

Api = TestClient[Any, Any]


# Slow by intent, and each API of a test starts by hashing the same password.
_hash_password = lru_cache(accounts.hash_password)
_verify_password = lru_cache(accounts.verify_password)


@pytest.fixture(autouse=True)
def same_passwords_are_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "hash_password", _hash_password)
    monkeypatch.setattr(accounts, "verify_password", _verify_password)


@pytest.fixture
def settings(database_url: str, broker_url: str, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=SecretStr(database_url),
        broker_url=SecretStr(broker_url),
    )


@pytest.fixture
async def api(settings: Settings, aiohttp_client: Callable[..., Awaitable[Api]]) -> Api:
    return await aiohttp_client(create_app(settings))


@pytest.fixture
async def signed_in(api: Api) -> dict[str, str]:
    """The headers of admin's session."""
    answer = await log_in(api, DEFAULT_PASSWORD)
    session = (await answer.json())["inventory"]["uuid"]
    return {"Authorization": f"OAuth {session}"}


async def log_in(api: Api, password: str) -> ClientResponse:
    body = {"logInByAccount": {"accountName": "admin", "password": sha512(password)}}
    return await api.put("/zstack/v1/accounts/login", json=body)


@pytest.fixture
def inventory(database: Database) -> Inventory:
    """A source VM, its network and its storage, and admin without a password."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")
        return make_inventory(connection)


@pytest.fixture
def as_admin(inventory: Inventory, database: Database) -> dict[str, str]:
    """The headers of a session of admin's."""
    return open_session(database, ADMIN)


@pytest.fixture
def server(settings: Settings, inventory: Inventory) -> Iterator[str]:
    """Its address: served by a thread of its own, since who asks here waits."""
    loop, started, place = asyncio.new_event_loop(), threading.Event(), []

    async def start() -> web.AppRunner:
        runner = web.AppRunner(create_app(settings))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        place.append(runner.addresses[0][1])
        started.set()
        return runner

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(30)
    yield f"http://127.0.0.1:{place[0]}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def engine(database_url: str, settings: Settings) -> Iterator[Engine]:
    """A worker of everything, on fakes."""
    with faked_engine(database_url, settings) as (engine, _, _):
        yield engine


def open_session(database: Database, account: str) -> dict[str, str]:
    session = uuid4().hex
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sessions (uuid, account_uuid, user_uuid, expires_at) "
            "VALUES (%s, %s, %s, clock_timestamp() + interval '1 hour')",
            (session, account, account),
        )
    return {"Authorization": f"OAuth {session}"}


async def exchange(api: Api, request: bytes) -> bytes:
    """What comes back for these bytes until the server closes: they ask it to, or are no HTTP."""
    reader, writer = await asyncio.open_connection(api.host, api.port)
    writer.write(request)
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def submit(api: Api, vm: str, headers: dict[str, str], **parameters: Any) -> str:
    """The job's uuid."""
    body = {"cloneVmInstance": parameters}
    answer = await api.put(f"/zstack/v1/vm-instances/{vm}/actions", json=body, headers=headers)
    assert answer.status == 202, await answer.text()
    return str((await answer.json())["location"])[-32:]
