"""What ZStack's clients check, row by row, as golden exchanges."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.api.main import DEFAULT_PASSWORD
from app.store.accounts import hash_password, sha512
from app.store.session import Database
from tests.engine import Engine
from tests.factories import ADMIN, Inventory
from tests.integration.api.conftest import Api, open_session, submit
from tests.integration.api.golden import Golden
from tests.integration.queries.conftest import fill

MOVED = "created_at = '2017-11-14 14:20:57.25+00', last_op_at = '2017-11-14 14:20:58+00'"


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def inventory(database: Database) -> Inventory:
    """The source with an image, an offering and fixed dates; admin with its first password."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")
        made = fill(connection)
        for table in ("vm_instances", "vm_nics", "used_ips", "volumes", "vm_cdroms"):
            connection.execute(text(f"UPDATE {table} SET {MOVED}"))
        connection.execute(text("UPDATE vm_instances SET internal_id = 1"))
        connection.execute(
            text("UPDATE accounts SET name = 'admin', password_hash = :hash WHERE uuid = :uuid"),
            {"hash": hash_password(sha512(DEFAULT_PASSWORD)), "uuid": ADMIN},
        )
    return made


@pytest.fixture
def golden(utc: None, inventory: Inventory, database: Database, api: Api, engine: Engine) -> Golden:
    session = open_session(database, ADMIN)["Authorization"].removeprefix("OAuth ")
    with database.single() as connection:
        rows: dict[str, Any] = {
            name: connection.scalar(text(f"SELECT uuid FROM {table}"))
            for name, table in (("nic", "vm_nics"), ("ip", "used_ips"), ("cd", "vm_cdroms"))
        }
    return Golden(
        api,
        engine,
        **rows,
        session=session,
        password=sha512(DEFAULT_PASSWORD),
        source=inventory.source,
        zone=inventory.zone,
        cluster=inventory.cluster,
        host=inventory.hosts[0],
        l3=inventory.l3_network,
        storage=inventory.storage,
        root=inventory.root_volume,
        data=inventory.data_volumes[0],
    )


async def test_row_01_login(golden: Golden) -> None:
    await golden.plays("row_01_login")


async def test_row_07_job_uuid_twice(golden: Golden) -> None:
    await golden.plays("row_07_job_uuid_twice")


async def test_row_09_query(golden: Golden) -> None:
    await golden.plays("row_09_query")


async def test_row_10_logout(golden: Golden) -> None:
    await golden.plays("row_10_logout")


async def test_row_12_query_destroy_validate_logout(golden: Golden) -> None:
    # Only what vmclone made is destroyed by it.
    headers = {"Authorization": f"OAuth {golden.known['session']}"}
    job = await submit(golden.api, golden.known["source"], headers, names=["a"])
    golden.engine.start(job)
    golden.known["clone"] = golden.engine.scalar("SELECT vm_uuid FROM items")
    await golden.plays("row_12_query_destroy_validate_logout")


async def test_row_16_flat_body_and_wrapper(golden: Golden) -> None:
    await golden.plays("row_16_flat_body_and_wrapper")


async def test_row_17_unknown_job(golden: Golden) -> None:
    await golden.plays("row_17_unknown_job")


async def test_row_18_no_session(golden: Golden) -> None:
    await golden.plays("row_18_no_session")
