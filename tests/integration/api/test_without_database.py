"""While PostgreSQL lets nobody in, each surface says so in its own words, and the log in a line."""

import logging

import pytest

from tests import servers
from tests.factories import Inventory
from tests.integration.api.conftest import Api

OWN = "/api/v1/clone-jobs"


@pytest.fixture
def refusing(
    api: Api, as_admin: dict[str, str], database_url: str, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    """The API's log from when it lost its database on."""
    servers.refuse_connections(database_url)
    caplog.clear()
    return caplog


def says_it_in_a_line(caplog: pytest.LogCaptureFixture, *, requests: int) -> bool:
    lines = [r for r in caplog.records if r.levelno >= logging.WARNING and r.name[:4] == "app."]
    assert [record.message for record in lines] == ["request without a database"] * requests
    return not any(record.exc_info for record in lines)


async def test_our_own_surface_says_when_to_ask_again(
    api: Api, inventory: Inventory, as_admin: dict[str, str], refusing: pytest.LogCaptureFixture
) -> None:
    body = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    answers = [
        await api.get(OWN, headers=as_admin),
        await api.get(f"{OWN}/x/events", headers=as_admin),
        await api.post(OWN, json=body, headers=as_admin),
        await api.post(OWN, json=body, headers=as_admin | {"Idempotency-Key": "k"}),
    ]
    for answer in answers:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        problem = await answer.json(content_type="application/problem+json")
        assert (problem["status"], problem["code"]) == (503, "SYS.1010")
        assert problem["detail"] == "the database does not answer; ask again in 5 seconds"
        assert "/readyz" in problem["advice"]
    assert says_it_in_a_line(refusing, requests=len(answers))


async def test_zstacks_surface_is_not_ready(
    api: Api, inventory: Inventory, as_admin: dict[str, str], refusing: pytest.LogCaptureFixture
) -> None:
    vm = f"/zstack/v1/vm-instances/{inventory.source}"
    clone = {"cloneVmInstance": {"names": ["a"]}}
    answers = [
        await api.get(vm, headers=as_admin),
        await api.put(f"{vm}/actions", json=clone, headers=as_admin),
        await api.get("/zstack/v1/accounts/sessions/x/valid"),
    ]
    for answer in answers:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (await answer.json())["error"]["code"] == "SYS.1010"
    assert says_it_in_a_line(refusing, requests=len(answers))
    # A poll must not fail in passing: clients take it for the job's end.
    assert (await api.get(f"/zstack/v1/api-jobs/{'0' * 32}")).status == 202
