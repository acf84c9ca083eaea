"""Connections: synchronous ones for workers, asynchronous ones for the API.

Every connection carries time limits of its own, because a frozen process keeps its TCP
connection alive and would hold its locks for ever.
"""

import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar

import asyncpg
import psycopg
from psycopg import Cursor
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")

LIMITS_MS = {
    "idle_in_transaction_session_timeout": 5_000,
    "lock_timeout": 5_000,
    "statement_timeout": 60_000,
}
CONNECT_TIMEOUT_S = 5
# Deadlock, serialization failure, a lock that took too long, and a process that stood still in the
# middle: the transaction is undone and may simply run again.
_TRY_AGAIN = ("40P01", "40001", "55P03", "25P03")
QUERY_CANCELED = "57014"  # by its statement_timeout
_TRIES = 5
# The hot statements find single rows by key: planned once, and never by the statistics of a table
# that was empty a moment ago.
_HOT_PLANS = " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off"
# The server does not answer, lets nobody in, or gave up on the statement: nothing is known of its
# effect, and the same may work a little later.
DATABASE_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError)
POOL_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # used while the server was ending it
    asyncpg.InsufficientResourcesError,  # no connection is left, or no room
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    OSError,
)


class Database:
    """One process's door to PostgreSQL."""

    def __init__(
        self,
        url: str,
        *,
        application_name: str = "vmclone",
        durable: bool = True,
        statement_timeout_ms: int = LIMITS_MS["statement_timeout"],
    ) -> None:
        """Not durable: a commit may be lost with the server, for what is said again anyway."""
        limits = LIMITS_MS | {"statement_timeout": statement_timeout_ms}
        options = " ".join(f"-c {name}={value}" for name, value in limits.items())
        if not durable:
            options += " -c synchronous_commit=off"
        self._url = url
        self._connect_arguments: dict[str, Any] = {
            "options": options,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application_name,
            "keepalives_idle": 10,
            "tcp_user_timeout": 15_000,
        }
        self.engine: Engine = create_engine(
            _with_driver(url, "psycopg"),
            pool_size=2,
            max_overflow=3,
            hide_parameters=True,  # of errors, which are logged
            connect_args=self._connect_arguments,
        )
        self._hot: Cursor[Any] | None = None
        self._hot_lock = threading.Lock()
        self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def hot(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        """The rows of one statement of those that every item takes, as its own transaction, past
        SQLAlchemy, which costs as much as the statement. Parameters are %(named)s.

        Whether a statement whose connection was lost took effect is open: the caller's guard
        (state and fence) answers that when the work is taken up again.
        """
        with self._hot_lock:
            if self._hot is None or self._hot.connection.closed:
                self._hot = self._open_hot()
            for attempt in range(_TRIES):
                try:
                    return self._hot.execute(statement, parameters).fetchall()
                except psycopg.Error as error:
                    if sqlstate(error) not in _TRY_AGAIN or attempt == _TRIES - 1:
                        raise
                    time.sleep(0.01 * 2**attempt)
            raise AssertionError("unreachable")

    def _open_hot(self) -> Cursor[Any]:
        arguments = self._connect_arguments
        options = {"options": arguments["options"] + _HOT_PLANS}
        connection = psycopg.connect(self._url, autocommit=True, **arguments | options)
        return connection.cursor(row_factory=namedtuple_row)

    @contextmanager
    def single(self) -> Iterator[Connection]:
        """For one statement that is its own transaction: one round trip, commit included."""
        with self._single.connect() as connection:
            yield connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """`work` in one transaction; again from its beginning where the server undid it."""
        for attempt in range(_TRIES):
            committing = False
            try:
                with self.engine.begin() as connection:
                    done = work(connection)
                    committing = True
            except (DBAPIError, psycopg.Error) as exc:
                # Who loses his connection may not get to read why; nothing is committed yet.
                undone = sqlstate(exc) in _TRY_AGAIN or (_is_lost(exc) and not committing)
                if not undone or attempt == _TRIES - 1:
                    raise
                time.sleep(0.01 * 2**attempt)
            else:
                return done
        raise AssertionError("unreachable")

    def close(self) -> None:
        self.engine.dispose()
        if self._hot is not None:
            self._hot.connection.close()


def _is_lost(exc: DBAPIError | psycopg.Error) -> bool:
    return isinstance(exc, DBAPIError) and exc.connection_invalidated


def sqlstate(exc: DBAPIError | psycopg.Error) -> str | None:
    """PostgreSQL's five-character code of the error, if the server sent one."""
    return getattr(exc.orig if isinstance(exc, DBAPIError) else exc, "sqlstate", None)


class _PlainConnection(asyncpg.Connection):  # type: ignore[misc]
    """Goes back to its pool without the usual reset: nothing here changes a session's state, and
    the reset would cost every request a round trip."""

    def get_reset_query(self) -> str:
        return ""


# A page's limit and what is searched for decide its plan.
OWN_PLANS = {"plan_cache_mode": "force_custom_plan"}


async def open_pool(
    url: str, *, size: int = 8, settings: Mapping[str, str] = MappingProxyType({})
) -> asyncpg.Pool:
    """For what every client sends: to submit, to poll, to query."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        connection_class=_PlainConnection,
        timeout=CONNECT_TIMEOUT_S,
        server_settings={name: str(value) for name, value in LIMITS_MS.items()}
        | dict(settings)
        | {"application_name": "vmclone api"},
    )


def is_away(error: BaseException) -> bool:
    """Whether a pool or the asynchronous engine raised it because the server is away."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(
            error.orig.__cause__ if error.orig else None, POOL_AWAY
        )
    return isinstance(error, (*POOL_AWAY, PoolTimeoutError))


async def asked_twice(read: Callable[[], Awaitable[T]]) -> T:
    """What `read` finds, for what may be done again: a pool learns only by its use that the server
    has ended a connection, and a restart of the server should fail nobody's request."""
    try:
        return await read()
    except POOL_AWAY:
        return await read()


def open_async_engine(url: str) -> AsyncEngine:
    """For everything else the API asks."""
    return create_async_engine(
        _with_driver(url, "asyncpg"),
        pool_size=4,
        max_overflow=8,
        hide_parameters=True,
        # A connection that a restart of the server ended is found out before a request gets it.
        pool_pre_ping=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "server_settings": {name: str(value) for name, value in LIMITS_MS.items()}
            | OWN_PLANS
            | {"application_name": "vmclone api"},
        },
    )


def _with_driver(url: str, driver: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError(f"not a PostgreSQL URL: {scheme}://…; it begins with postgresql://")
    return f"postgresql+{driver}://{rest}"
