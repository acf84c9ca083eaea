"""What ZStack's clients check, with raw HTTP."""

import io
import json
import re
from typing import Any

import pytest

from app.domain.errors import OperationFailed, VmStateNotAllowed
from app.store.session import Database
from app.zstack.results import error_result
from tests.factories import make_inventory
from tests.integration.api.conftest import Api, log_in

VM = "a" * 32
ACTIONS = f"/zstack/v1/vm-instances/{VM}/actions"
NO_ACTION = f"the body doesn't contain action mapping to the URL[/v1/vm-instances/{VM}/actions]"
LOCATION = re.compile(r"http://[^/]+/zstack/v1/api-jobs/[0-9a-f]{32}")


def stored_request(database: Database) -> dict[str, Any]:
    with database.single() as connection:
        row = connection.exec_driver_sql("SELECT request FROM jobs").one()
    request: dict[str, Any] = row.request
    return request


async def test_login_gives_a_session_with_dates_in_zstacks_form(api: Api) -> None:
    answer = await log_in(api, "password")
    assert answer.status == 200
    session = (await answer.json())["inventory"]
    assert session["accountUuid"] == session["userUuid"] == "36c27e8ff05c4780bf6d2fa65700f22e"
    date = r"[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d{2}:\d{2} [AP]M"
    assert re.fullmatch(date, session["expiredDate"])


async def test_a_wrong_password_is_503_with_id_1000(api: Api) -> None:
    answer = await log_in(api, "wrong")
    assert answer.status == 503
    assert (await answer.json())["error"]["code"] == "ID.1000"


async def test_validate_and_logout_answer_exactly_as_clients_decode(
    api: Api, signed_in: dict[str, str]
) -> None:
    session = signed_in["Authorization"].removeprefix("OAuth ")
    valid = await api.get(f"/zstack/v1/accounts/sessions/{session}/valid")
    assert await valid.json() == {"valid": True}
    for _ in range(2):
        left = await api.delete(f"/zstack/v1/accounts/sessions/{session}?deleteMode=")
        assert (left.status, await left.json()) == (200, {})
    valid = await api.get(f"/zstack/v1/accounts/sessions/{session}/valid")
    assert await valid.json() == {"valid": False}


@pytest.mark.parametrize(
    "body",
    [
        {"cloneVmInstance": {"names": ["a"], "systemTags": ["t"]}},  # Java
        {"cloneVmInstance": {"names": ["a"]}, "systemTags": ["t"]},  # Go v1, curl
        {"cloneVmInstance": {"names": ["a"], "vmInstanceUuid": "", "systemTags": ["t"]}},  # Go v2
        {"names": ["a"], "systemTags": ["t"]},  # the API page
        # Tags beside the action replace those inside.
        {"cloneVmInstance": {"names": ["a"], "systemTags": ["inner"]}, "systemTags": ["t"]},
    ],
)
async def test_every_body_form_is_accepted(
    api: Api, signed_in: dict[str, str], database: Database, body: dict[str, Any]
) -> None:
    answer = await api.put(ACTIONS, json=body, headers=signed_in | {"X-API-Timeout": "60"})
    assert answer.status == 202
    accepted = await answer.json()
    assert LOCATION.fullmatch(accepted["location"])
    assert accepted["apiTimeout"] == 60_000
    request = stored_request(database)
    assert (request["names"], request["systemTags"], request["vmInstanceUuid"]) == (
        ["a"],
        ["t"],
        VM,
    )


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        (b"hello", {}, "the body is not JSON"),
        (b"[]", {}, "the body is not a JSON object"),
        (b"{}", {}, NO_ACTION),
        (b'{"cloneVmInstance":5}', {}, "must be a JSON object"),
        (b'{"cloneVmInstance":{"full":"maybe"}}', {}, "Invalid value for boolean field [full]"),
        (b'{"cloneVmInstance":{"names":"x"}}', {}, "[names] field is expected a list"),
        (b'{"cloneVmInstance":{"names":["\\ud800"]}}', {}, "unpaired surrogate"),
        (b'{"cloneVmInstance":{}}', {"X-Job-UUID": "a" * 31}, "Invalid header[X-Job-UUID]"),
        (b'{"cloneVmInstance":{}}', {"X-API-Timeout": "soon"}, "Invalid header[X-API-Timeout]"),
    ],
)
async def test_a_malformed_submission_is_400_at_once(
    api: Api, signed_in: dict[str, str], body: bytes, headers: dict[str, str], text: str
) -> None:
    answer = await api.put(ACTIONS, data=body, headers=signed_in | headers)
    assert answer.status == 400
    assert text in await answer.text()


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "missing header 'Authorization'"),
        ({"Authorization": "Basic x"}, "Authorization type must be 'OAuth'"),
        ({"Authorization": "ZStack x"}, "accessKey format is 'ZStack AccessKeyId:Signature'"),
        ({"Authorization": "ZStack x:y"}, "'Date' must be incuded in request header"),
    ],
)
async def test_a_missing_or_foreign_authorization_is_400(
    api: Api, headers: dict[str, str], text: str
) -> None:
    answer = await api.put(ACTIONS, json={"cloneVmInstance": {"names": ["a"]}}, headers=headers)
    assert (answer.status, await answer.text()) == (400, text)


async def test_a_bad_session_is_accepted_and_then_failed(api: Api) -> None:
    answer = await api.put(
        ACTIONS,
        json={"cloneVmInstance": {"names": ["a"]}},
        headers={"Authorization": "OAuth unknown"},
    )
    assert answer.status == 202
    poll = await api.get("/" + (await answer.json())["location"].split("/", 3)[3])
    assert poll.status == 503
    assert (await poll.json())["error"]["code"] == "ID.1001"
    query = await api.get("/zstack/v1/vm-instances", headers={"Authorization": "OAuth unknown"})
    assert query.status == 503
    assert (await query.json())["error"]["code"] == "ID.1001"


async def test_a_job_uuid_serves_once(api: Api, signed_in: dict[str, str]) -> None:
    headers = signed_in | {"X-Job-UUID": "b" * 32}
    body = {"cloneVmInstance": {"names": ["a"]}}
    assert (await api.put(ACTIONS, json=body, headers=headers)).status == 202
    again = await api.put(ACTIONS, json=body, headers=headers)
    assert (again.status, await again.text()) == (400, f"Duplicate job uuid[{'b' * 32}]")


async def test_polls_need_no_credentials_and_serve_what_is_stored(
    api: Api, signed_in: dict[str, str], database: Database
) -> None:
    accepted = await api.put(ACTIONS, json={"names": ["a", "b"]}, headers=signed_in)
    uuid = (await accepted.json())["location"][-32:]
    stale = {"Authorization": "OAuth null"}
    running = await api.get(f"/v1/api-jobs/{uuid}", headers=stale)
    body = await running.json()
    assert running.status == 202
    assert LOCATION.fullmatch(body["location"])
    assert body["progress"] == {"state": "Accepted", "total": 2}
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'Finished'")
        connection.exec_driver_sql(
            "INSERT INTO job_results (job_uuid, status, body, schema_body) "
            "VALUES (%s, 200, %s, %s)",
            (uuid, b'{"result":{},"success":true}', b'{"result":"C"}'),
        )
    done = await api.get(f"/zstack/v1/api-jobs/{uuid}", headers=stale)
    assert (done.status, await done.json()) == (200, {"result": {}, "success": True})
    typed = await api.get(f"/zstack/v1/api-jobs/{uuid}", headers={"X-JSON-Schema": "true"})
    assert (await typed.json())["schema"] == {"result": "C"}


async def test_unknown_jobs_paths_and_methods_have_zstacks_answers(api: Api) -> None:
    missing = await api.get(f"/zstack/v1/api-jobs/{'c' * 32}")
    assert (missing.status, await missing.text()) == (404, "the job has been expired")
    post = await api.post(f"/zstack/v1/api-jobs/{'c' * 32}")
    assert (post.status, await post.text()) == (
        405,
        "only GET method is allowed for querying job status",
    )
    unknown = await api.get("/zstack/v1/nowhere")
    assert (unknown.status, await unknown.text()) == (404, "no api mapping to /v1/nowhere")


async def test_queries_select_sort_and_count(
    api: Api, signed_in: dict[str, str], database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")
        made = make_inventory(connection)
        connection.exec_driver_sql(
            "INSERT INTO sessions (uuid, account_uuid, user_uuid, expires_at) VALUES "
            "('s', '36c27e8ff05c4780bf6d2fa65700f22e', 'u', clock_timestamp() + interval '1 h')"
        )
    session = {"Authorization": "OAuth s"}

    async def ask(query: str) -> Any:
        answer = await api.get(f"/zstack/v1/vm-instances{query}", headers=session)
        return answer.status, await answer.json(content_type=None) if answer.status == 200 else None

    _, whole = await ask("?q=name=golden&replyWithCount=true")
    (vm,) = whole["inventories"]
    assert whole["total"] == 1
    assert vm["uuid"] == made.source
    assert [volume["type"] for volume in vm["allVolumes"]] == ["Root", "Data"]
    assert vm["vmNics"][0]["usedIps"][0]["ipInBinary"] == [10, 0, 0, 9]
    assert None not in vm.values()
    assert next(iter(whole["schema"])) == "inventories[0]"
    assert await ask(f"/{made.source}?fields=name") == (
        200,
        {
            "inventories": [{"name": "golden"}],
            "schema": {"inventories[0]": "org.zstack.header.vm.VmInstanceInventory"},
        },
    )
    assert await ask(f"/{'0' * 32}") == (200, {"inventories": [], "schema": {}})
    for query, number in (
        ("?q=state?=Running,Stopped", 1),
        ("?q=state!=Stopped", 0),
        ("?q=name~=gol%25", 1),
        ("?q=cpuNum>=1&q=memorySize<=1073741824", 1),
        ("?q=cpuNum=9223372036854775807", 0),
        ("?q=hostUuid is null", 1),
        ("?start=1", 0),
    ):
        _, body = await ask(query + "&fields=uuid")
        assert len(body["inventories"]) == number, query
    assert await ask("?count=true") == (200, {"total": 1, "schema": {}})
    for query in ("?q=nonsense=1", "?q=name", "?limit=x", "?q=cpuNum=many", "?sort=nonsense"):
        assert (await ask(query))[0] == 400, query


async def test_bodies_over_their_limit_are_413(api: Api, signed_in: dict[str, str]) -> None:
    small = await api.put("/zstack/v1/accounts/login", data=io.BytesIO(b"x" * ((1 << 20) + 1)))
    assert small.status == 413
    large = await api.put(ACTIONS, data=io.BytesIO(b"x" * ((16 << 20) + 1)), headers=signed_in)
    assert large.status == 413


async def test_only_who_names_gzip_gets_it(
    api: Api, signed_in: dict[str, str], database: Database
) -> None:
    accepted = await api.put(ACTIONS, json={"names": ["a"]}, headers=signed_in)
    uuid = (await accepted.json())["location"][-32:]
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO job_results (job_uuid, status, body) VALUES (%s, 200, %s)",
            (uuid, json.dumps({"result": "x" * 5000}).encode()),
        )
    for accepts, encoding in (
        ("*", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("br, gzip;q=0.5", "gzip"),
        ("gzip;q=0, identity", None),
    ):
        answer = await api.get(f"/zstack/v1/api-jobs/{uuid}", headers={"Accept-Encoding": accepts})
        assert answer.headers.get("Content-Encoding") == encoding, accepts


async def test_our_own_surface_answers_with_problems(api: Api, signed_in: dict[str, str]) -> None:
    missing = await api.get("/api/v1/clone-jobs/none", headers=signed_in)
    assert missing.status == 404
    assert missing.content_type == "application/problem+json"
    assert (await missing.json())["code"] == "SYS.1003"
    accepted = await api.put(ACTIONS, json={"names": ["a"]}, headers=signed_in)
    uuid = (await accepted.json())["location"][-32:]
    job = await (await api.get(f"/api/v1/clone-jobs/{uuid}", headers=signed_in)).json()
    assert (job["state"], job["total"], job["bytesTotal"]) == ("Accepted", 1, None)


async def test_health_is_open_and_readiness_names_what_is_missing(api: Api) -> None:
    assert (await api.get("/healthz")).status == 200
    ready = await api.get("/readyz")
    assert ready.status == 503
    body = await ready.json()
    assert (body["database"], body["broker"], body["worker"]) == (True, True, False)


def test_an_errors_body_is_what_java_parses() -> None:
    error = OperationFailed("outer", cause=VmStateNotAllowed("inner")).error_code
    body = json.loads(error_result(error))["error"]
    assert (body["code"], body["details"], body["cause"]["code"]) == (
        "SYS.1006",
        "outer",
        "VM.1010",
    )
