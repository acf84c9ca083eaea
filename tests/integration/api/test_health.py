"""`/healthz` says that the process lives, `/readyz` what it needs and lacks."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from app.api.main import create_app
from app.queue import CONTROL_SEEN_KEY
from app.settings import Settings
from app.supervisor import Child
from tests import servers
from tests.integration.api.conftest import Api
from workers.agent import Agent

Client = Callable[..., Awaitable[Api]]


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    """On which no worker was seen."""
    client = redis.Redis.from_url(broker_url)
    client.delete(CONTROL_SEEN_KEY)
    yield client
    client.delete(CONTROL_SEEN_KEY)
    client.close()


async def ready(api: Api) -> tuple[int, dict[str, Any]]:
    answer = await api.get("/readyz")
    body = await answer.json()
    assert body.pop("status") == ("ready" if answer.status == 200 else "not ready")
    return answer.status, body


async def test_it_is_ready_while_a_worker_is_seen(api: Api, broker: redis.Redis) -> None:
    assert await ready(api) == (503, {"database": True, "broker": True, "worker": False})
    broker.set(CONTROL_SEEN_KEY, "1")
    assert await ready(api) == (200, {"database": True, "broker": True, "worker": True})


async def test_without_its_database_it_is_alive_and_not_ready(
    api: Api, broker: redis.Redis, database_url: str
) -> None:
    broker.set(CONTROL_SEEN_KEY, "1")
    servers.refuse_connections(database_url)
    assert await ready(api) == (503, {"database": False, "broker": True, "worker": True})
    assert (await api.get("/healthz")).status == 200


async def test_without_its_broker_it_is_alive_and_not_ready(
    settings: Settings, aiohttp_client: Client, tmp_path: Path
) -> None:
    with servers.valkey(tmp_path) as url:
        own = settings.model_copy(update={"broker_url": SecretStr(url)})
        api = await aiohttp_client(create_app(own))
        assert (await ready(api))[1]["broker"]
    assert await ready(api) == (503, {"database": True, "broker": False, "worker": False})
    assert (await api.get("/healthz")).status == 200


def test_a_worker_is_seen_only_while_its_celery_process_lives(
    settings: Settings, broker: redis.Redis
) -> None:
    agent = Agent(settings, control=True, serve_hosts=False, processes=1)
    child = Child("control@here", ["sleep", "600"])
    agent.children = [child]
    agent.tick()
    assert not broker.exists(CONTROL_SEEN_KEY)
    child.start()
    try:
        agent.tick()
        assert broker.exists(CONTROL_SEEN_KEY)
    finally:
        child.stop(5)
