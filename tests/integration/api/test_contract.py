"""Submissions and answers in the forms that clients send and read. What each client checks, row by
row: test_contract_rows.py."""

import json
from typing import Any

import pytest

from app.store.session import Database
from tests.integration.api.conftest import Api

VM = "a" * 32
ACTIONS = f"/zstack/v1/vm-instances/{VM}/actions"


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
