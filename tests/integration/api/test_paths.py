"""Where requests go, in which order they are judged, and what is answered elsewhere."""

from typing import Any

import pytest
from aiohttp import ClientResponse

from app.api.main import create_app
from app.settings import Settings
from app.store.session import Database
from tests.factories import Inventory
from tests.integration.api.conftest import Api, exchange, log_in, open_session, submit

VM = "a" * 32


async def raw(api: Api, target: str, headers: str = "", method: str = "GET") -> bytes:
    """What comes back for a request as it is written here, byte for byte."""
    head = f"{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n"
    return await exchange(api, head.encode("latin-1"))


@pytest.mark.parametrize("base", ["/zstack/v1", "/v1", "//zstack/v1", "/zstack//v1", "//v1"])
async def test_every_base_that_clients_use_is_served(
    api: Api, signed_in: dict[str, str], base: str
) -> None:
    head = f"Authorization: {signed_in['Authorization']}\r\n"
    assert b" 200 OK" in await raw(api, f"{base}/vm-instances", head)
    missing = await raw(api, f"{base}/api-jobs/{'0123456789abcdef' * 2}")
    assert b" 404 " in missing
    assert missing.endswith(b"the job has been expired")


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/zstack/v1/nowhere", 404, "no api mapping to /v1/nowhere"),
        ("GET", "/zstack//v1/nowhere", 404, "no api mapping to /v1/nowhere"),
        ("GET", "/v1/a%20b", 404, "no api mapping to /v1/a b"),
        ("GET", "/zstack/v1/vm-instances/", 404, "no api mapping to /v1/vm-instances/"),
        ("POST", "/v1/vm-instances", 400, "No creational API found for the path[/v1/vm-instances]"),
        (
            "DELETE",
            f"/zstack/v1/vm-instances/{VM}/actions",
            400,
            f"No delete API found for the path[/v1/vm-instances/{VM}/actions]",
        ),
        (
            "GET",
            "/v1/vm-instances/aa/actions",
            400,
            "No query API found for the path[/v1/vm-instances/aa/actions]",
        ),
        ("PUT", "/v1/vm-instances", 400, "No action API found for the path[/v1/vm-instances]"),
        ("PATCH", "/v1/vm-instances", 405, "this path allows GET"),
        ("PUT", "/v1/api-jobs/x", 405, "only GET method is allowed for querying job status"),
        ("DELETE", "/v1/api-jobs/x", 405, "only GET method is allowed for querying job status"),
    ],
)
async def test_what_is_not_served_has_zstacks_text(
    api: Api, method: str, path: str, status: int, text: str
) -> None:
    answer = await api.request(method, path)
    assert (answer.status, await answer.text()) == (status, text)
    assert answer.content_type == "text/plain"


async def test_a_submission_is_judged_in_zstacks_order(api: Api, signed_in: dict[str, str]) -> None:
    """Body, then the session's header, then types, then job headers."""
    wrong_types = {"cloneVmInstance": {"full": 5}}
    bad_id = {"X-Job-UUID": "short"}

    async def refusal(body: Any, headers: dict[str, str]) -> str:
        answer = await api.put(f"/v1/vm-instances/{VM}/actions", json=body, headers=headers)
        assert answer.status == 400
        return (await answer.text()).partition("[")[0]

    assert await refusal({}, bad_id) == "the body doesn't contain action mapping to the URL"
    assert await refusal(wrong_types, bad_id) == "missing header 'Authorization'"
    assert await refusal(wrong_types, signed_in | bad_id) == "Invalid value for boolean field "
    good = {"cloneVmInstance": {"names": ["a"]}}
    assert await refusal(good, signed_in | bad_id) == "Invalid header"


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: ZStack \xff:x\r\nDate: today\r\n",
        "Authorization: OAuth \xff\r\n",
        "Authorization: \xff\r\n",
        "Prefer: wait=\xff\r\n",
        "Accept-Encoding: \xff\r\n",
    ],
)
async def test_a_header_that_is_no_utf8_is_never_an_internal_error(api: Api, header: str) -> None:
    answer = await raw(api, "/v1/vm-instances", header)
    assert b"SYS.1000" not in answer
    assert answer.split()[1] in {b"400", b"503"}


@pytest.mark.parametrize(
    "target",
    ["/v1/\xff", "/v1/%FF", "/v1/api-jobs/%00", "/v1/api-jobs/%FF", "/api/v1/clone-jobs/%00"],
)
async def test_a_path_that_is_no_text_is_never_an_internal_error(api: Api, target: str) -> None:
    answer = await raw(api, target)
    assert answer.split()[1] in {b"400", b"404"}


@pytest.mark.parametrize(
    ("headers", "client_ip"),
    [({}, "127.0.0.1"), ({"X-Request-Ip": "192.0.2.1"}, "192.0.2.1"), ({"X-Request-Ip": "é"}, "?")],
)
async def test_the_callers_address_is_recorded_as_stated(
    api: Api,
    as_admin: dict[str, str],
    inventory: Inventory,
    database: Database,
    headers: dict[str, str],
    client_ip: str,
) -> None:
    await submit(api, inventory.source, as_admin | headers, names=["a"])
    with database.single() as connection:
        assert connection.exec_driver_sql("SELECT client_ip FROM jobs").scalar() == client_ip


async def test_a_location_has_the_public_url_where_one_is_set(
    settings: Settings, aiohttp_client: Any
) -> None:
    public = settings.model_copy(update={"public_url": "https://clones.example.com/"})
    api: Api = await aiohttp_client(create_app(public))
    answer: ClientResponse = await api.put(
        f"/v1/vm-instances/{VM}/actions",
        json={"names": ["a"]},
        headers={"Authorization": "OAuth x", "X-Job-UUID": "e" * 32},
    )
    location = f"https://clones.example.com/zstack/v1/api-jobs/{'e' * 32}"
    assert (await answer.json())["location"] == answer.headers["Location"] == location


async def test_who_submits_with_invalid_sessions_again_and_again_is_held_off(api: Api) -> None:
    headers = {"Authorization": "OAuth unknown"}
    statuses = set()
    for _ in range(150):
        answer = await api.put(
            f"/v1/vm-instances/{VM}/actions", json={"names": ["a"]}, headers=headers
        )
        statuses.add(answer.status)
        if answer.status == 429:
            break
    assert statuses == {202, 429}
    assert answer.headers["Retry-After"] == "10"
    assert (await log_in(api, "password")).status == 200


@pytest.mark.parametrize("left_s", [-1, 1])
async def test_a_session_slides_while_it_is_valid(
    api: Api, inventory: Inventory, database: Database, left_s: int
) -> None:
    account = "36c27e8ff05c4780bf6d2fa65700f22e"
    session = open_session(database, account)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE sessions SET expires_at = clock_timestamp() + make_interval(mins => %s)",
            (left_s,),
        )
    answer = await api.get("/v1/vm-instances", headers=session)
    assert answer.status == (200 if left_s > 0 else 503)
    with database.single() as connection:
        slid = connection.exec_driver_sql(
            "SELECT expires_at > clock_timestamp() + interval '2 hours' FROM sessions"
        ).scalar()
    assert slid == (left_s > 0)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "the body doesn't contain action mapping to the URL[/v1/accounts/login]"),
        ({"logInByAccount": {"accountName": "admin"}}, 400, "field[password] is mandatory"),
        ({"logInByAccount": {"accountName": "a\x00", "password": "x"}}, 400, "field[accountName]"),
        ({"logInByAccount": {"accountName": "nobody", "password": "x"}}, 503, '{"error":{"code":'),
    ],
)
async def test_a_login_that_cannot_be_is_refused(
    api: Api, body: Any, status: int, text: str
) -> None:
    answer = await api.put("/zstack/v1/accounts/login", json=body)
    assert answer.status == status
    assert (await answer.text()).startswith(text)


async def test_users_cannot_sign_in(api: Api) -> None:
    body = {"logInByUser": {"accountName": "admin", "userName": "u", "password": "x"}}
    answer = await api.put("/zstack/v1/accounts/users/login", json=body)
    assert answer.status == 503
    assert (await answer.json())["error"]["code"] == "ID.1000"


async def test_queries_are_sorted_and_paged(
    api: Api, inventory: Inventory, as_admin: dict[str, str], database: Database
) -> None:
    with database.engine.begin() as connection:
        for name in ("b", "c", "d"):
            connection.exec_driver_sql(
                "INSERT INTO vm_instances SELECT (x).* FROM (SELECT json_populate_record("
                "v, json_build_object('uuid', %s::text, 'name', %s::text, 'internal_id', "
                "(SELECT max(internal_id) + 1 FROM vm_instances), 'root_volume_uuid', NULL)) AS x "
                "FROM vm_instances v WHERE uuid = %s) y",
                (name * 32, name, inventory.source),
            )

    async def names(query: str) -> list[str]:
        answer = await api.get(f"/v1/vm-instances?fields=name&{query}", headers=as_admin)
        return [vm["name"] for vm in (await answer.json())["inventories"]]

    assert await names("sort=name") == ["b", "c", "d", "golden"]
    assert await names("sort=%2Bname") == ["b", "c", "d", "golden"]
    assert await names("sort=-name") == ["golden", "d", "c", "b"]
    assert await names("sort=name&limit=2&start=1") == ["c", "d"]
    assert await names("sort=name&q=name!=c&q=name?=b,c,d") == ["b", "d"]
    assert await names("limit=0") == []
    assert await names("q=createDate>9999-12-31") == []
