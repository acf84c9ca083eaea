"""Accounts, users, sessions, keys, shares and quotas over ZStack's surface, with raw HTTP."""

import asyncio
import json
import logging
import re
from typing import Any

import pytest

from app.api.main import DEFAULT_PASSWORD
from app.store import due
from app.store.accounts import MAX_SESSIONS, sha512
from app.store.session import Database
from tests.factories import ADMIN, Inventory, make_account
from tests.integration.api.conftest import Api, open_session

Headers = dict[str, str]
UUID = re.compile("[0-9a-f]{32}")
ACCOUNTS = "/zstack/v1/accounts"


async def change(
    api: Api, method: str, path: str, headers: Headers, body: Any = None
) -> tuple[int, dict[str, Any]]:
    """The status and body of the poll that a client sends next."""
    answer = await api.request(method, f"/zstack/v1{path}", json=body, headers=headers)
    assert answer.status == 202, await answer.text()
    accepted = await answer.json()
    assert accepted["apiTimeout"] == 1_800_000
    poll = await api.get(f"/zstack/v1/api-jobs/{accepted['location'][-32:]}")
    return poll.status, await poll.json()


async def done(
    api: Api, method: str, path: str, headers: Headers, body: Any = None
) -> dict[str, Any]:
    status, result = await change(api, method, path, headers, body)
    assert status == 200, result
    inventory: dict[str, Any] = result.get("inventory", {})
    return inventory


async def code(api: Api, method: str, path: str, headers: Headers, body: Any = None) -> str:
    status, result = await change(api, method, path, headers, body)
    assert status == 503, result
    return str(result["error"]["code"])


async def account(api: Api, headers: Headers, name: str, **members: Any) -> dict[str, Any]:
    body = {"params": {"name": name, "password": sha512(name)} | members}
    return await done(api, "POST", "/accounts", headers, body)


async def sign_in(api: Api, name: str, password: str | None = None) -> Headers:
    body = {"logInByAccount": {"accountName": name, "password": sha512(password or name)}}
    answer = await api.put(f"{ACCOUNTS}/login", json=body)
    assert answer.status == 200, await answer.text()
    return {"Authorization": f"OAuth {(await answer.json())['inventory']['uuid']}"}


async def failed_login(api: Api, name: str, password: str = "wrong") -> str:
    body = {"logInByAccount": {"accountName": name, "password": sha512(password)}}
    answer = await api.put(f"{ACCOUNTS}/login", json=body)
    assert answer.status == 503
    error = (await answer.json())["error"]
    assert error["code"] == "ID.1000"
    return str(error["details"])


async def user_login(api: Api, **members: Any) -> Any:
    answer = await api.put(f"{ACCOUNTS}/users/login", json={"logInByUser": members})
    return answer.status, await answer.json()


async def test_an_account_is_created_signs_in_and_is_deleted(api: Api, signed_in: Headers) -> None:
    made = await account(api, signed_in, "tenant", description="of a test")
    assert UUID.fullmatch(made["uuid"])
    assert (made["name"], made["type"], made["description"]) == ("tenant", "Normal", "of a test")
    tenant = await sign_in(api, "tenant")
    assert (await api.get("/v1/vm-instances", headers=tenant)).status == 200
    assert await done(api, "DELETE", f"/accounts/{made['uuid']}", signed_in) == {}
    assert await done(api, "DELETE", f"/accounts/{made['uuid']}", signed_in) == {}
    assert (await api.get("/v1/vm-instances", headers=tenant)).status == 503
    assert await failed_login(api, "tenant", "tenant") == "wrong account name or password"


async def test_a_result_is_typed_for_who_asks(api: Api, signed_in: Headers) -> None:
    body = {"params": {"name": "t", "password": "x"}}
    headers = signed_in | {"X-Job-UUID": "d" * 32}
    assert (await api.post(f"{ACCOUNTS}", json=body, headers=headers)).status == 202
    again = await api.post(f"{ACCOUNTS}", json=body, headers=headers)
    assert (again.status, await again.text()) == (400, f"Duplicate job uuid[{'d' * 32}]")
    poll = await api.get(f"/v1/api-jobs/{'d' * 32}", headers={"X-JSON-Schema": "true"})
    schema = (await poll.json())["schema"]
    assert schema == {"inventory": "org.zstack.header.identity.AccountInventory"}


async def test_a_change_for_a_bad_session_is_accepted_and_then_failed(api: Api) -> None:
    bad = {"Authorization": "OAuth unknown"}
    body = {"params": {"name": "t", "password": "x"}}
    assert await code(api, "POST", "/accounts", bad, body) == "ID.1001"
    missing = await api.post(ACCOUNTS, json=body)
    assert (missing.status, await missing.text()) == (400, "missing header 'Authorization'")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"password": "x"}, "field[name] of message[APICreateAccountMsg] is mandatory"),
        ({"name": " ", "password": "x"}, "field[name] of message[APICreateAccountMsg] is mand"),
        ({"name": "t"}, "field[password] of message[APICreateAccountMsg] is mandatory"),
        ({"name": "t", "password": "x", "type": "Root"}, "valid value for field[type]"),
        ({"name": "a" * 256, "password": "x"}, "exceeds max length of string"),
        ({"name": "a\nb", "password": "x"}, "without control characters"),
        ({"name": [], "password": "x"}, "must be a text"),
        ({"name": "t", "password": "x", "resourceUuid": "1"}, "is no valid uuid"),
        ({"name": "admin", "password": "x"}, "An account with name 'admin' exists"),
    ],
)
async def test_an_account_that_cannot_be_is_refused_by_field(
    api: Api, signed_in: Headers, params: Any, field: str
) -> None:
    status, result = await change(api, "POST", "/accounts", signed_in, {"params": params})
    assert status == 503
    assert result["error"]["code"] == "SYS.1007"
    assert field in result["error"]["details"]


async def test_a_new_password_ends_other_sessions(api: Api, signed_in: Headers) -> None:
    await account(api, signed_in, "tenant")
    first, second = await sign_in(api, "tenant"), await sign_in(api, "tenant")
    uuid = await account_of(api, first)
    body = {"updateAccount": {"password": sha512("new")}}
    await done(api, "PUT", f"/accounts/{uuid}", first, body)
    assert (await api.get("/v1/vm-instances", headers=first)).status == 200
    assert (await api.get("/v1/vm-instances", headers=second)).status == 503
    await failed_login(api, "tenant", "tenant")
    await sign_in(api, "tenant", "new")


async def account_of(api: Api, headers: Headers) -> str:
    """The uuid of the account that the session is of."""
    session = headers["Authorization"].removeprefix("OAuth ")
    path = f"/accounts/sessions/{session}/renew"
    renewed = await done(api, "PUT", path, headers, {"renewSession": None})
    return str(renewed["accountUuid"])


async def test_users_sign_in_and_act_for_their_account(api: Api, signed_in: Headers) -> None:
    made = await account(api, signed_in, "tenant")
    tenant = await sign_in(api, "tenant")
    params = {"name": "ann", "password": sha512("ann"), "description": "a user"}
    user = await done(api, "POST", "/accounts/users", tenant, {"params": params})
    assert (user["name"], user["accountUuid"]) == ("ann", made["uuid"])
    for named in ({"accountName": "tenant"}, {"accountUuid": made["uuid"]}):
        status, answer = await user_login(api, **named, userName="ann", password=sha512("ann"))
        assert status == 200
        session = answer["inventory"]
        assert (session["accountUuid"], session["userUuid"]) == (made["uuid"], user["uuid"])
    ann = {"Authorization": f"OAuth {session['uuid']}"}
    assert (await api.get("/v1/vm-instances", headers=ann)).status == 200
    assert await code(api, "POST", "/accounts/users", ann, {"params": params}) == "ID.1002"
    assert await code(api, "POST", "/accesskeys", ann, {"params": {}}) == "ID.1002"
    change_own = {"updateUser": {"password": sha512("new")}}
    await done(api, "PUT", "/accounts/users/actions", ann, change_own)
    status, _ = await user_login(api, accountName="tenant", userName="ann", password=sha512("new"))
    assert status == 200
    await done(api, "DELETE", f"/accounts/users/{user['uuid']}", tenant)
    assert (await api.get("/v1/vm-instances", headers=ann)).status == 503
    status, answer = await user_login(
        api, accountName="tenant", userName="ann", password=sha512("new")
    )
    assert (status, answer["error"]["code"]) == (503, "ID.1000")


async def test_tenants_change_nothing_of_others(api: Api, signed_in: Headers) -> None:
    one = await account(api, signed_in, "one")
    await account(api, signed_in, "two")
    two = await sign_in(api, "two")
    params = {"name": "ann", "password": "x"}
    ann = await done(api, "POST", "/accounts/users", await sign_in(api, "one"), {"params": params})
    uuid = one["uuid"]
    refused: list[tuple[str, str, Any]] = [
        ("POST", "/accounts", {"params": {"name": "three", "password": "x"}}),
        ("DELETE", f"/accounts/{uuid}", None),
        ("PUT", f"/accounts/{uuid}", {"updateAccount": {"password": "x"}}),
        ("POST", "/accesskeys", {"params": {"accountUuid": uuid}}),
        (
            "PUT",
            "/accounts/quotas/actions",
            {"updateQuota": {"identityUuid": uuid, "name": "vm.num", "value": 1}},
        ),
    ]
    for method, path, body in refused:
        assert await code(api, method, path, two, body) == "ID.1002", path
    update = {"updateUser": {"uuid": ann["uuid"], "password": "y"}}
    assert await code(api, "PUT", "/accounts/users/actions", two, update) == "SYS.1003"
    await done(api, "DELETE", f"/accounts/users/{ann['uuid']}", two)
    status, _ = await user_login(api, accountName="one", userName="ann", password="x")
    assert status == 200
    usages = await api.get(f"{ACCOUNTS}/quota/{uuid}/usages", headers=two)
    assert (await usages.json())["error"]["code"] == "ID.1002"


async def test_an_account_that_owns_something_is_not_deleted(
    api: Api, as_admin: Headers, inventory: Inventory, database: Database
) -> None:
    with database.engine.begin() as connection:
        owner = make_account(connection)
        connection.exec_driver_sql(
            "UPDATE vm_instances SET account_uuid = %s WHERE uuid = %s", (owner, inventory.source)
        )
    tenant = open_session(database, owner)
    await api.put(
        f"/v1/vm-instances/{inventory.source}/actions", json={"names": ["a"]}, headers=tenant
    )
    status, result = await change(api, "DELETE", f"/accounts/{owner}", as_admin)
    assert (status, result["error"]["code"]) == (503, "SYS.1006")
    assert "VM golden, job " in (result["error"]["details"])
    assert await code(api, "DELETE", f"/accounts/{ADMIN}", as_admin) == "SYS.1007"


async def test_a_deleted_account_leaves_no_long_jobs(
    api: Api, inventory: Inventory, as_admin: Headers, database: Database
) -> None:
    with database.engine.begin() as connection:
        owner = make_account(connection)
    data = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    job = {"jobName": "APICloneVmInstanceMsg", "jobData": json.dumps(data)}
    await done(api, "POST", "/longjobs", open_session(database, owner), {"params": job})
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'Finished', outcome = 'Failed', "
            "finished_at = clock_timestamp() WHERE state = 'Accepted'"
        )
    await done(api, "DELETE", f"/accounts/{owner}", as_admin)
    reply = await api.get("/v1/longjobs", headers=as_admin)
    assert (await reply.json())["inventories"] == []


async def test_a_session_is_renewed_for_as_long_as_asked(
    api: Api, as_admin: Headers, database: Database
) -> None:
    uuid = as_admin["Authorization"].removeprefix("OAuth ")
    path = f"/accounts/sessions/{uuid}/renew"
    session = await done(api, "PUT", path, as_admin, {"renewSession": {"duration": 864000}})
    assert (session["uuid"], session["accountUuid"]) == (uuid, ADMIN)
    with database.single() as connection:
        days = connection.exec_driver_sql(
            "SELECT round(extract(epoch FROM expires_at - clock_timestamp()) / 86400) FROM sessions"
        ).scalar_one()
    assert days == 10
    short = {"renewSession": {"duration": 59}}
    assert await code(api, "PUT", path, as_admin, short) == "SYS.1007"
    unknown = f"/accounts/sessions/{'0' * 32}/renew"
    assert await code(api, "PUT", unknown, as_admin, {"renewSession": {}}) == "SYS.1003"
    with database.engine.begin() as connection:
        stranger = make_account(connection)
    tenant = open_session(database, stranger)
    assert await code(api, "PUT", path, tenant, {"renewSession": {}}) == "SYS.1003"
    wrong = await api.put(
        f"/v1{path}", json={"renewSession": {"duration": "soon"}}, headers=as_admin
    )
    assert wrong.status == 400


async def test_a_user_has_at_most_so_many_sessions(
    api: Api, signed_in: Headers, database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sessions (uuid, account_uuid, user_uuid, expires_at) "
            "SELECT 's' || n, %s, %s, clock_timestamp() + interval '1 hour' "
            "FROM generate_series(1, %s) n",
            (ADMIN, ADMIN, MAX_SESSIONS - 2),
        )
    body = {"logInByAccount": {"accountName": "admin", "password": sha512(DEFAULT_PASSWORD)}}
    answers = await asyncio.gather(*(api.put(f"{ACCOUNTS}/login", json=body) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 503, 503, 503]
    refused = next(answer for answer in answers if answer.status == 503)
    assert (await refused.json())["error"]["code"] == "ID.1006"
    params = {"params": {"name": "ann", "password": "x"}}
    await done(api, "POST", "/accounts/users", signed_in, params)
    status, _ = await user_login(api, accountName="admin", userName="ann", password="x")
    assert status == 200


async def test_guessing_is_held_up_and_nobody_else(api: Api, signed_in: Headers) -> None:
    await account(api, signed_in, "victim")
    await account(api, signed_in, "other")
    texts = [await failed_login(api, "victim") for _ in range(11)]
    assert texts[0] == "wrong account name or password"
    assert re.search(r"too many failed attempts .* try again in \d+ seconds", texts[-1])
    # The right password does not help who guessed too often, or it would be found so.
    assert "too many" in await failed_login(api, "victim", "victim")
    await sign_in(api, "other")


async def test_a_right_password_is_no_attempt(api: Api, signed_in: Headers) -> None:
    await account(api, signed_in, "tenant")
    for _ in range(15):
        await sign_in(api, "tenant")
    await asyncio.gather(*(sign_in(api, "tenant") for _ in range(30)))


async def test_an_access_key_is_made_signs_and_is_deleted(api: Api, signed_in: Headers) -> None:
    params = {"accountUuid": ADMIN, "userUuid": ADMIN, "description": "of a test"}
    key = await done(api, "POST", "/accesskeys", signed_in, {"params": params})
    assert re.fullmatch("[A-Za-z0-9]{20}", key["AccessKeyID"])
    assert re.fullmatch("[A-Za-z0-9]{40}", key["AccessKeySecret"])
    assert (key["accountUuid"], key["userUuid"]) == (ADMIN, ADMIN)
    await done(api, "DELETE", f"/accesskeys/{key['uuid']}?deleteMode=Permissive", signed_in)
    chosen = {"params": {"AccessKeyID": "a" * 10, "AccessKeySecret": "b" * 10}}
    assert await code(api, "POST", "/accesskeys", signed_in, chosen) == "SYS.1014"
    nobody = {"params": {"accountUuid": "0" * 32}}
    assert await code(api, "POST", "/accesskeys", signed_in, nobody) == "SYS.1003"


async def test_a_key_s_secret_is_gone_after_an_hour(
    api: Api, signed_in: Headers, database: Database
) -> None:
    key = await done(api, "POST", "/accesskeys", signed_in, {"params": {}})

    def swept(age: str) -> bool:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE jobs SET finished_at = clock_timestamp() - CAST(%s AS interval)", (age,)
            )
            due.expired_jobs(connection, retention_s=30 * 86400, refused_s=3600)
            bodies = connection.exec_driver_sql("SELECT body FROM job_results").scalars().all()
        return not any(key["AccessKeySecret"].encode() in bytes(body) for body in bodies)

    assert not swept("59 minutes")
    assert swept("61 minutes")


async def test_what_is_shared_is_seen_until_it_is_revoked(
    api: Api, as_admin: Headers, inventory: Inventory, database: Database
) -> None:
    with database.engine.begin() as connection:
        tenants = [make_account(connection) for _ in range(2)]
    sessions = [open_session(database, tenant) for tenant in tenants]

    async def seen() -> list[int]:
        answers = [await api.get("/v1/vm-instances", headers=session) for session in sessions]
        return [len((await answer.json())["inventories"]) for answer in answers]

    actions = "/accounts/resources/actions"
    source = {"resourceUuids": [inventory.source]}
    assert await seen() == [0, 0]
    share = {"shareResource": source | {"accountUuids": tenants[:1]}}
    await done(api, "PUT", actions, as_admin, share)
    await done(api, "PUT", actions, as_admin, share)
    assert await seen() == [1, 0]
    await done(api, "PUT", actions, as_admin, {"shareResource": source | {"toPublic": True}})
    assert await seen() == [1, 1]
    own_not = {"shareResource": source | {"accountUuids": tenants[1:]}}
    assert await code(api, "PUT", actions, sessions[0], own_not) == "ID.1002"
    await done(
        api, "PUT", actions, as_admin, {"revokeResourceSharing": source | {"toPublic": "true"}}
    )
    assert await seen() == [1, 0]
    await done(api, "PUT", actions, as_admin, {"revokeResourceSharing": source | {"all": True}})
    assert await seen() == [0, 0]
    unknown = {"shareResource": {"resourceUuids": ["0" * 32], "toPublic": True}}
    assert await code(api, "PUT", actions, as_admin, unknown) == "SYS.1003"
    nobody = {"shareResource": source | {"accountUuids": ["0" * 32]}}
    assert await code(api, "PUT", actions, as_admin, nobody) == "SYS.1003"


async def test_quotas_are_set_and_their_usage_is_shown(api: Api, signed_in: Headers) -> None:
    uuid = (await account(api, signed_in, "tenant"))["uuid"]
    update = {"identityUuid": uuid, "name": "vm.totalNum", "value": 7}
    quota = await done(api, "PUT", "/accounts/quotas/actions", signed_in, {"updateQuota": update})
    assert (quota["name"], quota["identityUuid"], quota["value"]) == ("vm.totalNum", uuid, 7)
    tenant = await sign_in(api, "tenant")
    answer = await api.get(f"/zstack/v1/accounts/quota/{uuid}/usages", headers=tenant)
    usages = (await answer.json())["usages"]
    assert usages[0] == {"name": "vm.totalNum", "total": 7, "used": 0}
    assert [usage["name"] for usage in usages] == [
        "vm.totalNum",
        "vm.num",
        "vm.cpuNum",
        "vm.memorySize",
        "volume.data.num",
        "volume.capacity",
    ]
    bad = {"updateQuota": update | {"name": "vm.nums"}}
    assert await code(api, "PUT", "/accounts/quotas/actions", signed_in, bad) == "ID.1004"


async def test_two_tenants_neither_see_nor_touch_each_other_s(
    api: Api, inventory: Inventory, database: Database, engine: Any
) -> None:
    with database.engine.begin() as connection:
        owner, stranger = make_account(connection), make_account(connection)
        connection.exec_driver_sql("UPDATE vm_instances SET account_uuid = %s", (owner,))
    mine, theirs = open_session(database, owner), open_session(database, stranger)
    made = await api.post(
        "/api/v1/clone-jobs",
        json={"vmInstanceUuid": inventory.source, "names": ["a"]},
        headers=mine,
    )
    job = (await made.json())["uuid"]
    engine.start(job)
    items = await api.get(f"/api/v1/clone-jobs/{job}/items", headers=mine)
    (item,) = (await items.json())["items"]
    listed = await api.get("/api/v1/clone-jobs", headers=theirs)
    assert (await listed.json())["clone-jobs"] == []
    own = f"/api/v1/clone-jobs/{job}"
    for method, path in [
        ("GET", own),
        ("GET", f"{own}/items"),
        ("POST", f"{own}/cancel"),
        ("POST", f"{own}/pause"),
        ("POST", f"{own}/resume"),
        ("POST", f"{own}/retry"),
        ("DELETE", f"{own}/vms"),
        ("POST", f"{own}/items/{item['uuid']}/cancel"),
    ]:
        answer = await api.request(method, path, headers=theirs)
        assert answer.status == 404, path
    for query in ("", f"/{item['vmUuid']}", f"/{inventory.source}"):
        answer = await api.get(f"/v1/vm-instances{query}", headers=theirs)
        assert (await answer.json())["inventories"] == []
    refused = await api.post(
        "/api/v1/clone-jobs",
        json={"vmInstanceUuid": inventory.source, "names": ["b"]},
        headers=theirs,
    )
    uuid = (await refused.json())["uuid"]
    engine.start(uuid)
    ended = await api.get(f"/api/v1/clone-jobs/{uuid}", headers=theirs)
    assert (await ended.json())["error"]["code"] == "ID.1002"


async def test_changes_of_accounts_are_no_clone_jobs(api: Api, signed_in: Headers) -> None:
    await account(api, signed_in, "tenant")
    listed = await api.get("/api/v1/clone-jobs", headers=signed_in)
    assert (await listed.json())["clone-jobs"] == []


async def test_no_secret_is_logged_or_stored_in_clear(
    api: Api, signed_in: Headers, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ["pass-word-of-tenant", sha512("pass-word-of-tenant")]
    params = {"name": "tenant", "password": secrets[1]}
    await done(api, "POST", "/accounts", signed_in, {"params": params})
    tenant = await sign_in(api, "tenant", secrets[0])
    key = await done(api, "POST", "/accesskeys", tenant, {"params": {}})
    await failed_login(api, "tenant", secrets[1])
    bad = {"Authorization": f"ZStack {key['AccessKeyID']}:x", "Date": "now"}
    await api.get("/v1/vm-instances", headers=bad)
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for secret in [*secrets, key["AccessKeySecret"], tenant["Authorization"][6:]]:
        assert secret not in logged
    with database.single() as connection:
        for table in ("accounts", "users", "access_keys", "jobs"):
            rows = connection.exec_driver_sql(f"SELECT t::text FROM {table} t").scalars().all()
            for secret in [*secrets, key["AccessKeySecret"]]:
                assert not any(secret in row for row in rows), table
