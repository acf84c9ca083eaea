"""Servers for a test session: the embedded ones, with durability relaxed where a test dies with
them anyway."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
