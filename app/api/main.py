"""The API process: `vmclone api`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import redis.asyncio
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from sqlalchemy import Connection

from app.api.bodies import CLONE_SUBMISSION
from app.api.limits import Limiter
from app.api.login_limits import LoginLimits
from app.api.metrics import METRICS, Metrics, timed
from app.api.middlewares import compression, errors
from app.api.previews import PREVIEWING
from app.api.publisher import PublisherThread
from app.api.request_ids import identified, name_request
from app.api.routes import routes
from app.api.state import STATE, ApiState
from app.api.streams.events import FEEDS
from app.api.streams.feed import Feeds
from app.endpoints import ConfigurationError, broker_url, database_url
from app.queue import Publisher, make_celery
from app.settings import Settings
from app.store import accounts
from app.store.session import OWN_PLANS, open_async_engine, open_pool

log = logging.getLogger(__name__)

DEFAULT_PASSWORD = "password"  # noqa: S105  # of the embedded stack, on loopback alone


def create_app(settings: Settings) -> web.Application:
    """Raises ConfigurationError where it must not be started as it is configured."""
    if settings.admin_password is None and not settings.listens_on_loopback:
        raise ConfigurationError(
            f"vmclone would listen on {settings.listen} with its default password: set "
            "VMCLONE_ADMIN_PASSWORD, or VMCLONE_LISTEN=127.0.0.1"
        )
    app = web.Application(
        middlewares=[identified, timed, compression, errors], client_max_size=CLONE_SUBMISSION + 1
    )

    async def connected(app: web.Application) -> AsyncIterator[None]:
        state = await _connect(settings)
        app[STATE] = state
        await state.write(lambda connection: _ensure_admin(connection, settings))
        state.publisher.start()
        yield
        await _disconnect(state)

    app[METRICS] = Metrics()
    app.on_response_prepare.append(name_request)
    app.cleanup_ctx.append(connected)
    app[FEEDS] = Feeds()
    app[PREVIEWING] = asyncio.Semaphore()
    app.on_shutdown.append(_end_streams)
    app.add_routes(routes())
    return app


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    app = create_app(settings)
    logging.getLogger("aiohttp.server").addFilter(is_worth_a_line)
    web.run_app(app, host=settings.listen, port=settings.port, print=None, access_log=None)


async def _end_streams(app: web.Application) -> None:
    """The server waits for its handlers before it goes; streams would not end by themselves."""
    await app[FEEDS].stop()


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """What is no HTTP was answered 400: a traceback for each would let callers fill the disk."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


async def _connect(settings: Settings) -> ApiState:
    url, broker = database_url(settings), broker_url(settings)
    return ApiState(
        settings=settings,
        pool=await open_pool(url),
        queries=await open_pool(url, settings=OWN_PLANS),
        engine=open_async_engine(url),
        publisher=PublisherThread(Publisher(make_celery(broker))),
        broker=redis.asyncio.Redis.from_url(broker, socket_timeout=2),
        hashing=ThreadPoolExecutor(max_workers=2, thread_name_prefix="hashing"),
        refused_sessions=Limiter(burst=100, per_second=1),
        missed_polls=Limiter(burst=20, per_second=1),
        logins=LoginLimits(),
    )


async def _disconnect(state: ApiState) -> None:
    state.publisher.stop()
    state.hashing.shutdown(wait=False)
    await state.broker.aclose()
    await state.engine.dispose()
    await state.pool.close()
    await state.queries.close()


def _ensure_admin(connection: Connection, settings: Settings) -> None:
    """A password that is set becomes admin's; the default one only where there is no admin yet."""
    if settings.admin_password is not None:
        accounts.ensure_admin(connection, settings.admin_password.get_secret_value())
    elif not accounts.has_admin(connection):
        accounts.ensure_admin(connection, DEFAULT_PASSWORD)
