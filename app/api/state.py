"""What the handlers share, under typed keys of the application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
import redis.asyncio
from aiohttp import web
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.limits import Limiter
from app.api.login_limits import LoginLimits
from app.api.publisher import PublisherThread
from app.settings import Settings

T = TypeVar("T")
RETRIES = 7263516  # of advisory locks


@dataclass(slots=True)
class ApiState:
    settings: Settings
    pool: asyncpg.Pool  # what every client sends
    queries: asyncpg.Pool  # planned for their own values
    engine: AsyncEngine
    publisher: PublisherThread
    broker: redis.asyncio.Redis
    hashing: ThreadPoolExecutor  # passwords: slow on purpose, so not on the event loop
    refused_sessions: Limiter  # by client address
    missed_polls: Limiter
    logins: LoginLimits
    retries: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, work: Callable[[Connection], T]) -> T:
        async with self.engine.connect() as connection:
            return await connection.run_sync(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with self.engine.begin() as connection:
            return await connection.run_sync(work)

    @asynccontextmanager
    async def one_retry_at_a_time(self) -> AsyncIterator[None]:
        """Of all servers of this API: whoever comes second sees what the first one has made."""
        # Who waits for another server's holds a connection: one of this server's at a time.
        async with self.retries, self.engine.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(RETRIES)))
            yield

    async def hash(self, work: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.hashing, work, *arguments)


STATE = web.AppKey("state", ApiState)


def state_of(request: web.Request) -> ApiState:
    return request.app[STATE]
