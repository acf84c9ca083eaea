"""Real servers for the tests of this level: one migrated template database, copied per test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text

from app.store.migrate import migrate
from app.store.session import Database
from tests import servers

# Each of the processes that run tests side by side has its own, also on a server that is given.
TEMPLATE = f"vmclone_template_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server's URL without a database; VMCLONE_TEST_POSTGRES_URL names one that runs already."""
    given = os.environ.get("VMCLONE_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with servers.postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url.rsplit("/", 1)[0]


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    _administer(postgres_url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
    database = Database(f"{postgres_url}/{TEMPLATE}")
    migrate(database.engine)
    database.close()
    return TEMPLATE


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A fresh migrated database."""
    with fresh_database(postgres_url, template_database) as url:
        yield url


@contextmanager
def fresh_database(postgres_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    _administer(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield f"{postgres_url}/{name}"
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    _administer(postgres_url, f"CREATE DATABASE {name}")
    yield f"{postgres_url}/{name}"
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _administer(postgres_url: str, *statements: str) -> None:
    with _administration(postgres_url).connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


@lru_cache
def _administration(postgres_url: str) -> Engine:
    """One connection for the session: each test makes and drops a database."""
    return create_engine(
        postgres_url.replace("postgresql://", "postgresql+psycopg://") + "/postgres",
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        pool_pre_ping=True,
    )
