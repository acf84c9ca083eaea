"""What ZStack's clients check, row by row, as golden exchanges."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.api.main import DEFAULT_PASSWORD
from app.domain.errors import VmStartFailed
from app.settings import Settings
from app.store.accounts import hash_password, sha512
from app.store.session import Database
from tests.engine import Engine
from tests.factories import ADMIN, Inventory
from tests.integration.api.conftest import Api, open_session, submit
from tests.integration.api.golden import Call, Golden
from tests.integration.api.test_access_keys import make_key
from tests.integration.engine.test_trouble import fails
from tests.integration.queries.conftest import fill
from tests.integration.webhooks.test_delivery import Endpoint, endpoints, postman, until

__all__ = ["endpoints"]  # fixtures

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
            text("UPDATE l3_networks SET ip_allocator = 'FirstAvailableIpAllocatorStrategy'")
        )
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


@pytest.fixture
def signed(golden: Golden, database: Database, settings: Settings) -> None:
    """`<signed>` and `<signed-date>` are a signed submission's headers, for a zone's id."""
    uri = f"/v1/vm-instances/{golden.known['source']}/actions"
    headers = make_key(database, settings).headers("PUT", uri, zone="Etc/UTC")
    golden.known |= {"signed": headers["Authorization"], "signed-date": headers["date"]}


async def test_row_01_login(golden: Golden) -> None:
    await golden.plays("row_01_login")


async def test_row_02_clone_of_two(golden: Golden) -> None:
    await golden.plays("row_02_clone_of_two")


async def test_row_03_one_name_fails(golden: Golden) -> None:
    golden.engine.worker.fake_hypervisor.before = fails("start", VmStartFailed())  # type: ignore[union-attr]
    await golden.plays("row_03_one_name_fails")


async def test_row_04_whole_job_fails(golden: Golden, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE vm_instances SET state = 'Destroyed'")
    await golden.plays("row_04_whole_job_fails")


async def test_row_05_java_access_key(golden: Golden, signed: None) -> None:
    await golden.plays("row_05_java_access_key")


async def test_row_06_location_of_another_host(golden: Golden) -> None:
    await golden.plays("row_06_location_of_another_host")


async def test_row_07_job_uuid_twice(golden: Golden) -> None:
    await golden.plays("row_07_job_uuid_twice")


async def test_row_08_webhook(golden: Golden, endpoints: Any) -> None:  # a fixture
    endpoint: Endpoint = await endpoints()

    async def next_call() -> Call:
        await until(lambda: bool(endpoint.calls))
        return endpoint.calls.pop()

    golden.known["hook"] = endpoint.url
    golden.next_call = next_call
    async with postman(golden.engine):
        await golden.plays("row_08_webhook")


async def test_row_09_query(golden: Golden) -> None:
    await golden.plays("row_09_query")


async def test_row_10_logout(golden: Golden) -> None:
    await golden.plays("row_10_logout")


async def test_row_11_go_login_clone_poll(golden: Golden) -> None:
    await golden.plays("row_11_go_login_clone_poll")


async def test_row_12_query_destroy_validate_logout(golden: Golden) -> None:
    # Only what vmclone made is destroyed by it.
    headers = {"Authorization": f"OAuth {golden.known['session']}"}
    job = await submit(golden.api, golden.known["source"], headers, names=["a"])
    golden.engine.start(job)
    golden.known["clone"] = golden.engine.scalar("SELECT vm_uuid FROM items")
    await golden.plays("row_12_query_destroy_validate_logout")


async def test_row_13_go_access_key(golden: Golden, signed: None) -> None:
    await golden.plays("row_13_go_access_key")


async def test_row_14_go_v2_clone(golden: Golden) -> None:
    await golden.plays("row_14_go_v2_clone")


async def test_row_15_legacy_rpc(golden: Golden) -> None:
    await golden.plays("row_15_legacy_rpc")


async def test_row_16_flat_body_and_wrapper(golden: Golden) -> None:
    await golden.plays("row_16_flat_body_and_wrapper")


async def test_row_17_unknown_job(golden: Golden) -> None:
    await golden.plays("row_17_unknown_job")


async def test_row_18_no_session(golden: Golden) -> None:
    await golden.plays("row_18_no_session")
