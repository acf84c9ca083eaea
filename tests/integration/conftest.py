"""Real servers for the tests of this level."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.migrate import migrate
from app.store.session import Database
from tests import servers
from tests.examples import look_for_examples
from tests.integration.databases import Databases

look_for_examples()

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
def databases(postgres_url: str) -> Iterator[Databases]:
    databases = Databases(postgres_url, TEMPLATE)
    databases.drop(TEMPLATE)
    database = Database(databases.make(name=TEMPLATE))
    migrate(database.engine)
    database.close()
    yield databases
    databases.close()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A migrated database without rows."""
    with databases.migrated() as url:
        yield url


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """One without tables."""
    with databases.copied() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"
