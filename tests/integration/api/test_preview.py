"""`?dryRun=true`: the plan that grants would make, and nothing of it kept."""

import asyncio
import time
from typing import Any

from sqlalchemy import text

from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory, make_account
from tests.integration.api.conftest import Api, open_session

PREVIEW = "/api/v1/clone-jobs?dryRun=true"


async def previewed(api: Api, headers: dict[str, str], vm: str, **fields: Any) -> dict[str, Any]:
    answer = await api.post(PREVIEW, json={"vmInstanceUuid": vm} | fields, headers=headers)
    assert answer.status == 200, await answer.text()
    return dict(await answer.json())


def rows_of_everything(database: Database) -> dict[str, str]:
    """By table, a digest of all its rows; sessions slide."""
    with database.engine.connect() as connection:
        tables = connection.execute(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
                "AND tablename <> 'sessions'"
            )
        ).scalars()
        return {
            table: connection.execute(
                text(
                    f"SELECT md5(COALESCE(string_agg(t::text, ',' ORDER BY t::text), '')) "
                    f"FROM {table} t"
                )
            ).scalar_one()
            for table in tables
        }


async def test_a_plan_says_what_the_job_then_does_and_keeps_nothing(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    fields = {"names": ["a", "b"], "full": True, "mode": "full"}
    before = rows_of_everything(database)
    plan = await previewed(api, as_admin, inventory.source, **fields)
    assert rows_of_everything(database) == before
    body = {"vmInstanceUuid": inventory.source} | fields
    job = await (await api.post("/api/v1/clone-jobs", json=body, headers=as_admin)).json()
    engine.start(job["uuid"])
    done = await (await api.get(f"/api/v1/clone-jobs/{job['uuid']}/items", headers=as_admin)).json()
    members = ("ordinal", "name", "hostUuid", "hostName", "method", "error")
    assert [{m: item[m] for m in members} for item in plan["items"]] == [
        {m: item[m] for m in members} for item in done["items"]
    ]
    assert (plan["total"], plan["error"], plan["vmInstanceUuid"]) == (2, None, inventory.source)
    ips = [ip for item in plan["items"] for ip in item["ips"]]
    assert (
        len(set(ips))
        == len(ips)
        == 2
        * engine.scalar(
            "SELECT count(*) FROM vm_nics WHERE vm_instance_uuid = :vm", vm=inventory.source
        )
    )
    assert plan["bytesTotal"] == sum(item["bytesTotal"] for item in plan["items"]) > 0


async def test_a_shortage_is_told_by_the_names_that_it_hits(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE host_capacities SET available_cpu = 2"))
        connection.execute(text("UPDATE vm_instances SET cpu_num = 1"))
    names = ["a", "b", "c"]
    plan = await previewed(api, as_admin, inventory.source, names=names)
    job = await (
        await api.post(
            "/api/v1/clone-jobs",
            json={"vmInstanceUuid": inventory.source, "names": names},
            headers=as_admin,
        )
    ).json()
    engine.start(job["uuid"])
    done = await (await api.get(f"/api/v1/clone-jobs/{job['uuid']}/items", headers=as_admin)).json()
    assert [item["error"] for item in plan["items"]] == [item["error"] for item in done["items"]]
    short = plan["items"][2]
    assert (short["error"]["code"], short["hostUuid"]) == ("SYS.1006", None)
    assert short["error"]["cause"]["code"] == "HOST_ALLOCATION.1000"
    assert short["error"]["advice"].startswith("The details name the filter")


async def test_places_that_are_taken_are_passed_over(
    api: Api, inventory: Inventory, as_admin: dict[str, str], database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE hosts SET slots = 1"))
    plan = await previewed(api, as_admin, inventory.source, names=["a", "b", "c"])
    assert all(item["hostUuid"] for item in plan["items"])


async def test_a_request_that_would_be_refused_says_so(
    api: Api, inventory: Inventory, as_admin: dict[str, str], database: Database
) -> None:
    unknown = await previewed(api, as_admin, "0" * 32, names=["a"])
    assert (unknown["error"]["code"], unknown["items"]) == ("SYS.1003", [])
    with database.engine.begin() as connection:
        account = make_account(connection)
    tenant = open_session(database, account)
    foreign = await previewed(api, tenant, inventory.source, names=["a"])
    assert foreign["error"]["code"] == "ID.1002"
    form = await api.post(PREVIEW, json={"names": ["a"]}, headers=as_admin)
    assert form.status == 400


async def test_records_alone_are_placed_nowhere(
    api: Api, inventory: Inventory, as_admin: dict[str, str]
) -> None:
    plan = await previewed(api, as_admin, inventory.source, names=["a"], strategy="JustCreate")
    (item,) = plan["items"]
    assert (item["hostUuid"], item["method"], item["ips"], item["error"]) == (None, None, [], None)


async def test_ten_thousand_names_are_planned_while_others_are_answered(
    api: Api, inventory: Inventory, as_admin: dict[str, str], database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE host_capacities SET available_cpu = 1000000, "
                "available_memory = 1::bigint << 60"
            )
        )
    asked = asyncio.create_task(
        previewed(api, as_admin, inventory.source, namePattern="n-{00001..10000}")
    )
    answered = 0
    began_s = time.monotonic()
    while not asked.done():
        assert (await api.get("/healthz")).status == 200
        answered += 1
        await asyncio.sleep(0.05)  # leaves the processor to the plan
    plan = await asked
    print(f"10,000 names planned in {time.monotonic() - began_s:.2f} s, {answered} answers beside")
    assert len(plan["items"]) == 10_000
    assert answered > 10
