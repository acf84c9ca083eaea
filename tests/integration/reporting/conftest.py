"""A database in which jobs have ended, run and wait, as the engine itself leaves it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Connection, text

from app.domain.errors import PrimaryStorageFull
from app.queue import CONTROL_QUEUE, TaskName
from app.settings import Settings
from app.store import tallies
from tests.engine import Engine, faked_engine
from tests.factories import make_inventory, make_job
from tests.integration.databases import Databases

DOCS = Path(__file__).parents[3] / "docs" / "reporting.md"
SECRET = "swordfish"


@pytest.fixture(scope="module")
def filled_url(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for all tests of a file."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with databases.migrated() as url:
        with faked_engine(url, settings) as (engine, storage, _):
            storage.before = lambda call: _fail(call) if _of_d(engine) else None
            fill(engine)
        yield url


def fill(engine: Engine) -> None:
    """A job whose names became VMs, one whose name d failed, one granted, one that waits. What is
    secret in them is `SECRET`."""
    with engine.database.engine.begin() as connection:
        made = make_inventory(connection)
        fine, bad, granted, waits = (
            make_job(connection, made.source, names, userTags=[SECRET], full=True)
            for names in (("a", "b", "c"), ("d",), ("e",), ("f", "g"))
        )
        hide_secrets(connection)
    engine.start(fine)
    engine.start(bad)
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(granted)
    engine.run((TaskName.START, (waits,), CONTROL_QUEUE))
    engine.publisher.messages.clear()
    engine.publisher.lost = lambda _: False
    engine.database.run(tallies.count_ended)


def _of_d(engine: Engine) -> bool:
    return bool(engine.scalar("SELECT 1 FROM items WHERE name = 'd' AND state = 'Running'"))


def _fail(call: str) -> None:
    if call == "clone":
        raise PrimaryStorageFull(SECRET)


def hide_secrets(connection: Connection) -> None:
    connection.execute(text("UPDATE jobs SET web_hook = :hook"), {"hook": f"http://x/{SECRET}"})
    connection.execute(text("UPDATE accounts SET password_hash = :secret"), {"secret": SECRET})
    connection.execute(
        text(
            "INSERT INTO sessions (uuid, account_uuid, user_uuid, expires_at) "
            "SELECT :secret, uuid, uuid, clock_timestamp() + interval '1 hour' FROM accounts"
        ),
        {"secret": SECRET},
    )


@pytest.fixture(scope="module")
def filled(filled_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """To look at, not to change."""
    with engine_on(filled_url, tmp_path_factory.mktemp("home")) as engine:
        yield engine


@pytest.fixture
def engine(databases: Databases, filled_url: str, tmp_path: Path) -> Iterator[Engine]:
    """On a copy of one's own."""
    with (
        databases.copied(filled_url.rpartition("/")[2]) as url,
        engine_on(url, tmp_path) as engine,
    ):
        yield engine


@contextmanager
def engine_on(url: str, home: Path) -> Iterator[Engine]:
    with faked_engine(url, Settings(home=home)) as (engine, _, _):
        yield engine


def statements(block: str) -> list[str]:
    """Those of docs/reporting.md in the code blocks of this kind ("", "login" or "role")."""
    blocks = re.findall(r"```sql ?(\w*)\n(.*?)```", DOCS.read_text(), re.DOTALL)
    joined = "".join(content for kind, content in blocks if kind == block)
    return [statement.strip() for statement in joined.split(";\n") if statement.strip()]


@pytest.fixture
def owner(filled_url: str) -> Iterator[psycopg.Connection]:
    """What it changes is forgotten."""
    with psycopg.connect(filled_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def reader(filled_url: str) -> Iterator[psycopg.Connection]:
    """Logged in as the page tells Grafana to."""
    name = f"grafana_{uuid4().hex[:8]}"
    with psycopg.connect(filled_url, autocommit=True) as owner:
        for statement in statements("login"):
            owner.execute(statement.replace("grafana", name).encode())
        address = f"postgresql://{name}:choose%20one@{filled_url.partition('@')[2]}"
        with psycopg.connect(address, autocommit=True) as connection:
            yield connection
        owner.execute(f"DROP ROLE {name}".encode())
