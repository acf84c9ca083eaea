"""Servers for a test session: the embedded ones, with durability relaxed where a test dies with
them anyway."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey

RELAXED = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def postgres(home: Path, *, durable: bool = False) -> Iterator[str]:
    """Its URL, while it runs."""
    server = Postgres(home, extra_settings={} if durable else RELAXED)
    child = server.child()
    child.start()
    try:
        server.wait()
        yield server.url
    finally:
        child.stop(30)


@contextmanager
def valkey(home: Path) -> Iterator[str]:
    server = Valkey(home)
    child = server.child()
    child.start()
    try:
        server.wait()
        yield server.url
    finally:
        child.stop(30)


def refuse_connections(database_url: str) -> None:
    """As if this one database were away: nobody gets in, and who is in is put out."""
    server, _, name = database_url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name))
        )
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (name,),
        )
