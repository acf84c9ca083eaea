"""Jobs from submission to result, as both surfaces show them, with the engine on fakes."""

import asyncio
from typing import Any

import asyncpg
import pytest

from app.queue import TaskName
from app.store import intake
from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory, make_account
from tests.integration.api.conftest import Api, open_session, submit

JOBS = "/zstack/v1/api-jobs"
OWN = "/api/v1/clone-jobs"


async def test_a_finished_job_is_served_as_it_is_stored_and_typed_on_request(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a", "b"], full=True)
    engine.start(job)
    answer = await api.get(f"{JOBS}/{job}")
    body = await answer.json()
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert await answer.read() == bytes(
        engine.scalar("SELECT body FROM job_results WHERE job_uuid = :job", job=job)
    )
    assert (body["success"], body["result"]["numberOfClonedVm"]) == (True, 2)
    vms = [entry["inventory"] for entry in body["result"]["inventories"]]
    assert [vm["name"] for vm in vms] == ["a", "b"]
    assert [len(vm["allVolumes"]) for vm in vms] == [2, 2]
    typed = await (await api.get(f"{JOBS}/{job}", headers={"X-JSON-Schema": ""})).json()
    schema = typed.pop("schema")
    assert typed == body
    assert schema["result"] == "org.zstack.header.vm.CloneVmInstanceResults"
    assert schema["result.inventories[1].inventory.vmNics[0].usedIps[0]"].endswith("Inventory")


@pytest.mark.parametrize(
    ("parameters", "code", "details"),
    [
        ({"names": []}, "SYS.1007", "must be a nonempty list"),
        ({"names": ["a", None]}, "SYS.1007", "cannot contain a NULL element"),
        ({"names": ["a\x00b"]}, "SYS.1007", "contains a control character"),
        ({"vmNicParams": "[" * 99_999}, "SYS.1007", "not one of JSON"),
        ({"systemTags": ["nonsense::x"]}, "SYS.1007", "no system tag matches nonsense::x"),
        ({"hostUuid": "0" * 32}, "SYS.1003", f"resource[uuid:{'0' * 32}, type:HostVO] not found"),
    ],
)
async def test_what_parameters_say_is_judged_behind_the_queue(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    engine: Engine,
    parameters: dict[str, Any],
    code: str,
    details: str,
) -> None:
    job = await submit(api, inventory.source, as_admin, **({"names": ["a"]} | parameters))
    engine.start(job)
    answer = await api.get(f"{JOBS}/{job}", headers={"X-JSON-Schema": "true"})
    body = await answer.json()
    assert answer.status == 503
    assert list(body) == ["error"]
    assert body["error"]["code"] == code
    assert details in body["error"]["details"]


async def test_an_unknown_vm_is_named_by_its_field(
    api: Api, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await submit(api, "0" * 32, as_admin, names=["a"])
    engine.start(job)
    body = await (await api.get(f"{JOBS}/{job}")).json()
    assert body["error"]["code"] == "SYS.1003"
    assert body["error"]["details"] == (
        f"invalid field[vmInstanceUuid], resource[uuid:{'0' * 32}, type:VmInstanceVO] not found"
    )


async def test_progress_is_counted_while_the_job_runs(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a", "b"])
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(job)
    answer = await api.get(f"{JOBS}/{job}")
    assert answer.status == 202
    body = await answer.json()
    assert set(body) == {"location", "progress"}
    progress = body["progress"]
    assert (progress["state"], progress["total"]) == ("Running", 2)
    counts = [progress[name] for name in ("waiting", "running", "succeeded", "failed", "canceled")]
    assert sum(counts) == 2
    assert None not in progress.values()
    whole = await (await api.get(f"{OWN}/{job}", headers=as_admin)).json()
    assert progress["bytesTotal"] == whole["bytesTotal"]


async def test_a_poll_that_may_wait_is_answered_when_the_job_ends(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a"])
    still_running = await api.get(f"{JOBS}/{job}", headers={"Prefer": "wait=1"})
    assert still_running.status == 202
    waiting = asyncio.create_task(
        api.session.get(api.make_url(f"{JOBS}/{job}"), headers={"Prefer": "wait=25"})
    )
    await asyncio.to_thread(engine.start, job)
    assert (await waiting).status == 200


async def test_a_submission_that_may_wait_is_answered_with_the_result(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    job = "d" * 32
    body = {"cloneVmInstance": {"names": ["a"]}}
    path = api.make_url(f"/zstack/v1/vm-instances/{inventory.source}/actions")
    headers = as_admin | {"Prefer": "wait=25", "X-Job-UUID": job}
    waiting = asyncio.create_task(api.session.put(path, json=body, headers=headers))
    async with asyncio.timeout(30):
        while (await api.get(f"{JOBS}/{job}")).status == 404:
            assert not waiting.done()
    await asyncio.to_thread(engine.start, job)
    answer = await waiting
    assert answer.status == 200
    assert (await answer.json())["result"]["numberOfClonedVm"] == 1


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
    ],
)
async def test_without_a_database_a_poll_says_ask_again_and_a_submission_stays_accepted(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    async def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(intake, "poll", away)
    job = await submit(api, inventory.source, as_admin | {"Prefer": "wait=5"}, names=["a"])
    answer = await api.get(f"{JOBS}/{job}")
    assert answer.status == 202
    assert (await answer.json())["location"].endswith(f"{JOBS}/{job}")
    monkeypatch.undo()
    assert "progress" in await (await api.get(f"{JOBS}/{job}")).json()


async def test_no_request_meets_a_connection_that_a_restart_of_the_database_ended(
    api: Api, inventory: Inventory, as_admin: dict[str, str], database: Database
) -> None:
    path = f"/zstack/v1/vm-instances/{inventory.source}"
    # More than one connection in the pool, and all of them used before.
    before = await asyncio.gather(*(api.get(path, headers=as_admin) for _ in range(4)))
    with database.single() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    after = [await api.get(path, headers=as_admin) for _ in range(4)]
    assert {answer.status for answer in (*before, *after)} == {200}


async def test_items_are_paged_in_request_order(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a", "b", "c"])
    engine.start(job)

    async def page(query: str) -> Any:
        return await (await api.get(f"{OWN}/{job}/items{query}", headers=as_admin)).json()

    first = await page("?limit=2")
    assert [item["name"] for item in first["items"]] == ["a", "b"]
    last = await page(f"?limit=2&after={first['next']}")
    assert [item["name"] for item in last["items"]] == ["c"]
    assert last["next"] is None
    assert (await page("?state=Waiting")) == {"items": [], "next": None}
    item = first["items"][0]
    assert (item["state"], item["error"], item["waitReason"]) == ("Succeeded", None, None)
    assert all(step["finishedAt"] for step in item["steps"])
    whole = await (await api.get(f"{OWN}/{job}", headers=as_admin)).json()
    assert (whole["state"], whole["outcome"]) == ("Finished", "Succeeded")
    assert (whole["total"], whole["succeeded"], whole["waiting"]) == (3, 3, 0)
    assert whole["bytesDone"] == whole["bytesTotal"]
    assert whole["finishedAt"].endswith("Z")


async def test_what_has_no_effect_is_listed_in_the_job(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await submit(
        api, inventory.source, as_admin, names=["a"], resetTpm=True, systemTags=["hostname::h"]
    )
    engine.start(job)
    whole = await (await api.get(f"{OWN}/{job}", headers=as_admin)).json()
    assert whole["ignored"] == ["systemTags[hostname]", "resetTpm"]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("{job}/items?state=Nonsense", 400, "[state] is one of "),
        ("{job}/items?limit=many", 400, "[limit] must be an integer, but was [many]"),
        ("{job}/items?after=99999999999", 400, "[after] input should be less than"),
        ("nowhere", 404, "there is no clone job nowhere"),
        ("nowhere/items", 404, "there is no clone job nowhere"),
        ("a%00b", 404, "no api mapping to /api/v1/clone-jobs/"),
        ("{job}/nothing", 404, "no api mapping to /api/v1/clone-jobs/"),
    ],
)
async def test_our_own_errors_are_problems(
    api: Api, inventory: Inventory, as_admin: dict[str, str], path: str, status: int, detail: str
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a"])
    answer = await api.get(f"{OWN}/{path.format(job=job)}", headers=as_admin)
    problem = await answer.json(content_type="application/problem+json")
    assert answer.status == status
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["detail"].startswith(detail)


async def test_our_own_surface_wants_a_session(api: Api) -> None:
    none = await api.get(f"{OWN}/x")
    assert (none.status, none.content_type) == (401, "application/problem+json")
    unknown = await api.get(f"{OWN}/x", headers={"Authorization": "OAuth x"})
    assert (unknown.status, (await unknown.json(content_type=None))["code"]) == (401, "ID.1001")
    put = await api.put(f"{OWN}/x", headers={"Authorization": "OAuth x"})
    assert (put.status, put.content_type) == (405, "application/problem+json")


async def test_a_tenant_sees_only_what_is_its_own(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a"])
    engine.start(job)
    with database.engine.begin() as connection:
        account = make_account(connection)
    tenant = open_session(database, account)
    for path in (f"{OWN}/{job}", f"{OWN}/{job}/items"):
        assert (await api.get(path, headers=tenant)).status == 404
    vms = await (await api.get("/v1/vm-instances?replyWithCount=true", headers=tenant)).json()
    assert (vms["inventories"], vms["total"]) == ([], 0)
    every = await (await api.get("/v1/vm-instances?replyWithCount=true", headers=as_admin)).json()
    assert every["total"] == 2
