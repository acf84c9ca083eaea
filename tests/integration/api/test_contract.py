"""Submissions and answers in the forms that clients send and read. What each client checks, row by
row: test_contract_rows.py."""

import io
import json
from typing import Any

import pytest

from app.store.session import Database
from tests.integration.api.conftest import Api

VM = "a" * 32
ACTIONS = f"/zstack/v1/vm-instances/{VM}/actions"
NO_ACTION = f"the body doesn't contain action mapping to the URL[/v1/vm-instances/{VM}/actions]"


def stored_request(database: Database) -> dict[str, Any]:
    with database.single() as connection:
        row = connection.exec_driver_sql("SELECT request FROM jobs").one()
    request: dict[str, Any] = row.request
    return request


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
    answer = await api.put(ACTIONS, json=body, headers=signed_in)
    assert answer.status == 202
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


async def test_health_is_open_and_readiness_names_what_is_missing(api: Api) -> None:
    assert (await api.get("/healthz")).status == 200
    ready = await api.get("/readyz")
    assert ready.status == 503
    body = await ready.json()
    assert (body["database"], body["broker"], body["worker"]) == (True, True, False)
