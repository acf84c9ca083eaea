"""Hosts, storages and address ranges: what is used, what is left, and who may look."""

from typing import Any

import pytest

from app.store.session import Database
from tests.engine import Engine
from tests.factories import GIB, Inventory, make_account
from tests.integration.api.conftest import Api, open_session, submit

Headers = dict[str, str]


async def listed(api: Api, kind: str, headers: Headers) -> list[dict[str, Any]]:
    answer = await api.get(f"/api/v1/{kind}", headers=headers)
    assert answer.status == 200, await answer.text()
    body: dict[str, list[dict[str, Any]]] = await answer.json()
    return body[kind]


async def test_what_clones_hold_is_told_and_given_back(
    api: Api, inventory: Inventory, as_admin: Headers, engine: Engine
) -> None:
    (host,) = await listed(api, "hosts", as_admin)
    (storage,) = await listed(api, "primary-storages", as_admin)
    (addresses,) = await listed(api, "ip-ranges", as_admin)
    assert (host["cpuUsed"], host["memoryUsedBytes"], host["slotsUsed"]) == (0, 0, 0)
    assert storage["reservedBytes"] == 0
    assert (addresses["total"], addresses["used"]) == (65521, 0)  # the source's is outside

    engine.start(await submit(api, inventory.source, as_admin, names=["a", "b", "c"]))

    (after,) = await listed(api, "hosts", as_admin)
    assert (after["cpuUsed"], after["memoryUsedBytes"], after["slotsUsed"]) == (3, 3 * GIB, 0)
    (held,) = await listed(api, "primary-storages", as_admin)
    assert held["reservedBytes"] > 0
    assert held["reservedBytes"] + held["availableBytes"] <= held["totalBytes"]
    assert (await listed(api, "ip-ranges", as_admin))[0]["used"] == 3


async def test_a_host_is_shown_as_it_is(
    api: Api, inventory: Inventory, as_admin: Headers, database: Database
) -> None:
    (host,) = await listed(api, "hosts", as_admin)
    assert host["uuid"] == inventory.hosts[0]
    assert (host["status"], host["state"]) == ("Connected", "Enabled")
    assert (host["hypervisorType"], host["slots"]) == ("Simulator", 64)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE hosts SET state = 'Disabled', seen_at = clock_timestamp() - interval '1 minute'"
        )
        connection.exec_driver_sql(
            "INSERT INTO limits (scope, resource_uuid, name, value) "
            "VALUES ('host', '', 'builds', 3)"
        )
    (host,) = await listed(api, "hosts", as_admin)
    assert (host["status"], host["state"], host["slots"]) == ("Disconnected", "Disabled", 3)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = NULL")
    (host,) = await listed(api, "hosts", as_admin)
    assert (host["status"], host["seenAt"]) == ("Connecting", None)


async def test_a_storage_says_why_it_cannot_be_used(
    api: Api, inventory: Inventory, as_admin: Headers, database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE primary_storages SET fault = 'its marker is missing', physical_total = 1000, "
            "physical_free = 400"
        )
    (storage,) = await listed(api, "primary-storages", as_admin)
    assert (storage["status"], storage["fault"]) == ("Disconnected", "its marker is missing")
    assert (storage["usedBytes"], storage["availableBytes"]) == (600, 350)  # 5 % stay free
    assert (storage["fullCopies"], storage["fullCopiesLimit"]) == (0, 16)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE primary_storages SET physical_free = NULL")
    assert (await listed(api, "primary-storages", as_admin))[0]["usedBytes"] is None


async def test_ranges_of_ipv6_are_counted_and_endless_ones_have_no_total(
    api: Api, inventory: Inventory, as_admin: Headers, database: Database
) -> None:
    with database.engine.begin() as connection:
        for number, last in enumerate(("fd00::1:ffff", "fd01:0:0:ffff::")):
            first = last.split(":")[0] + "::1:0"
            connection.exec_driver_sql(
                "INSERT INTO ip_ranges (uuid, name, l3_network_uuid, ip_version, start_ip, end_ip, "
                "start_ip_in_long, end_ip_in_long, netmask, network_cidr) "
                "VALUES (%s, 'six', %s, 6, %s, %s, 0, 0, 'ffff::', 'fd00::/8')",
                (str(number) * 32, inventory.l3_network, first, last),
            )
        connection.exec_driver_sql(
            "INSERT INTO used_ips (uuid, l3_network_uuid, ip_version, ip, ip_in_long) VALUES "
            "(%s, %s, 6, 'fd00::1:a', 0)",
            ("a" * 32, inventory.l3_network),
        )
    ranges = await listed(api, "ip-ranges", as_admin)
    assert [(r["total"], r["used"]) for r in ranges] == [(65521, 0), (65536, 1), (None, 0)]


async def test_a_tenant_sees_the_ranges_of_networks_shared_with_it_and_no_more(
    api: Api, inventory: Inventory, as_admin: Headers, database: Database
) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
    headers = open_session(database, tenant)
    assert await listed(api, "ip-ranges", headers) == []
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO shared_resources (uuid, owner_account_uuid, receiver_account_uuid, "
            "to_public, resource_type, resource_uuid) "
            "SELECT %s, uuid, %s, FALSE, 'L3NetworkVO', %s FROM accounts "
            "WHERE type = 'SystemAdmin'",
            ("b" * 32, tenant, inventory.l3_network),
        )
    (seen,) = await listed(api, "ip-ranges", headers)
    assert seen["l3NetworkUuid"] == inventory.l3_network


@pytest.mark.parametrize("kind", ["hosts", "primary-storages"])
async def test_only_admin_sees_hosts_and_storages(
    api: Api, inventory: Inventory, database: Database, kind: str
) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
    answer = await api.get(f"/api/v1/{kind}", headers=open_session(database, tenant))
    assert answer.status == 403
    assert (await answer.json())["code"] == "ID.1002"
    assert (await api.get(f"/api/v1/{kind}")).status == 401  # nobody
