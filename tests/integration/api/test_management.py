"""What is asked of the server itself, of its hosts, and of jobs by their steps."""

import json
from typing import Any

import pytest

from app.queue import CONTROL_SEEN_KEY
from app.store import shares
from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory, make_account
from tests.integration.api.conftest import Api, open_session, submit

NODES = "/zstack/v1/management-nodes"


async def test_version_time_and_apis_need_no_session(api: Api) -> None:
    version = await api.put(f"{NODES}/actions", json={"getVersion": {}})
    assert (version.status, await version.json()) == (200, {"version": "5.2.1", "success": True})
    now = await (await api.put(f"{NODES}/actions", json={"getCurrentTime": None})).json()
    assert now["currentTime"]["MillionSeconds"] // 1000 == now["currentTime"]["Seconds"]
    apis = await (await api.put(f"{NODES}/actions", json={"getSupportAPIs": {}})).json()
    assert "org.zstack.header.vm.APICloneVmInstanceMsg" in apis["supportApis"]
    assert "org.zstack.header.vm.APIQueryVmInstanceMsg" in apis["supportApis"]
    none = await api.put(f"{NODES}/actions", json={"nothing": {}})
    text = "the body doesn't contain action mapping to the URL[/v1/management-nodes/actions]"
    assert (none.status, await none.text()) == (400, text)


async def test_nodes_are_one_that_is_ready_with_its_worker(api: Api) -> None:
    nodes = await (await api.get(NODES)).json()
    (node,) = nodes["inventories"]
    assert node["hostName"] == "127.0.0.1"
    early = await api.get(f"{NODES}/ready")
    assert (early.status, (await early.json())["error"]["code"]) == (503, "SYS.1010")
    state = next(value for value in api.app.values() if hasattr(value, "broker"))
    await state.broker.set(CONTROL_SEEN_KEY, "1")
    ready = await (await api.get(f"{NODES}/ready")).json()
    await state.broker.delete(CONTROL_SEEN_KEY)
    assert ready == {"managementNodeId": node["uuid"], "success": True}


async def test_candidates_and_capacities(
    api: Api, inventory: Inventory, as_admin: dict[str, str], database: Database
) -> None:
    async def ask(path: str) -> Any:
        answer = await api.get(f"/v1{path}", headers=as_admin)
        return await answer.json()

    found = await ask("/vm-instances/candidate-destinations?cpuNum=1&memorySize=1024")
    assert [host["uuid"] for host in found["hosts"]] == inventory.hosts
    assert found["hosts"][0]["status"] == "Connected"
    assert [cluster["uuid"] for cluster in found["clusters"]] == [inventory.cluster]
    assert [zone["uuid"] for zone in found["zones"]] == [inventory.zone]
    for query in ("cpuNum=1001", f"zoneUuid={'0' * 32}", f"clusterUuid={'0' * 32}"):
        assert (await ask(f"/vm-instances/candidate-destinations?{query}"))["hosts"] == []
    targets = await ask(f"/vm-instances/{inventory.source}/starting-target-hosts")
    assert [host["uuid"] for host in targets["hosts"]] == inventory.hosts
    missing = await ask(f"/vm-instances/{'0' * 32}/starting-target-hosts")
    assert missing["error"]["code"] == "SYS.1003"
    wrong = await ask("/vm-instances/candidate-destinations?cpuNum=many")
    assert wrong["error"]["code"] == "SYS.1007"
    capacity = await ask(f"/hosts/capacities/cpu-memory?clusterUuids={inventory.cluster}")
    assert (capacity["totalCpu"], capacity["availableCpu"]) == (1000, 1000)
    assert (await ask(f"/hosts/capacities/cpu-memory?hostUuids={'0' * 32}"))["totalCpu"] == 0
    bare = await api.get("/v1/hosts/capacities/cpu-memory")
    assert bare.status == 400


async def test_candidates_are_asked_for_by_networks_that_the_caller_sees(
    api: Api, inventory: Inventory, as_admin: dict[str, str], database: Database
) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
    as_tenant = open_session(database, tenant)

    async def ask(headers: dict[str, str], network: str) -> Any:
        path = f"/v1/vm-instances/candidate-destinations?l3NetworkUuids={network}"
        answer = await (await api.get(path, headers=headers)).json()
        return answer["error"]["code"] if "error" in answer else len(answer["hosts"])

    assert await ask(as_admin, inventory.l3_network) == 1
    assert await ask(as_admin, "0" * 32) == "SYS.1003"
    assert await ask(as_tenant, inventory.l3_network) == "SYS.1003"
    with database.engine.begin() as connection:
        network = shares.find(connection, [inventory.l3_network])
        shares.share(connection, network, accounts=[tenant], to_public=False)
    assert await ask(as_tenant, inventory.l3_network) == 1


async def test_task_progress_is_the_job_s_steps(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a"])

    async def ask(query: str) -> list[Any]:
        answer = await api.get(f"/v1/task-progresses/{job}{query}", headers=as_admin)
        body = await answer.json()
        assert len(body["schema"]) == len(body["inventories"])
        inventories: list[Any] = body["inventories"]
        return inventories

    (waiting,) = await ask("")
    assert (waiting["taskUuid"], waiting["type"], waiting["content"]) == (job, "Progress", "0")
    engine.start(job)
    assert await ask("") == [], "nothing runs any more"
    root, *steps = await ask("?all=true")
    assert root["content"] == "100"
    assert [step["content"] for step in steps] == [
        "allocate candidate hosts",
        "copy root volume",
        "create nics",
        "customize guest",
        "define vm",
        "start on the hypervisor",
    ]
    assert {step["parentUuid"] for step in steps} == {job}
    assert [step["time"] for step in steps] == sorted(step["time"] for step in steps)
    unknown = await api.get(f"/v1/task-progresses/{'0' * 32}?all=true", headers=as_admin)
    assert (await unknown.json())["inventories"] == []


@pytest.fixture
def ask_long(api: Api, as_admin: dict[str, str]) -> Any:
    async def ask(method: str, path: str, body: Any = None) -> Any:
        """The job's result; for GET the reply."""
        answer = await api.request(method, f"/v1/longjobs{path}", json=body, headers=as_admin)
        if method == "GET":
            return await answer.json()
        assert answer.status == 202, await answer.text()
        poll = await api.get(f"/v1/api-jobs/{(await answer.json())['location'][-32:]}")
        return await poll.json()

    return ask


def clone_data(inventory: Inventory, **more: Any) -> dict[str, Any]:
    data = {"vmInstanceUuid": inventory.source, "names": ["a"]} | more
    return {"jobName": "APICloneVmInstanceMsg", "jobData": json.dumps(data), "name": "mine"}


@pytest.mark.parametrize("field", ["jobName", "name", "description", "targetResourceUuid"])
async def test_a_text_with_a_nul_is_the_caller_s_mistake(
    ask_long: Any, inventory: Inventory, field: str
) -> None:
    params = clone_data(inventory)
    text = f"\0.{params['jobName']}" if field == "jobName" else "a\0"
    answer = await ask_long("POST", "", {"params": params | {field: text}})
    assert answer["error"]["code"] == "SYS.1007"


async def test_a_long_job_clones_and_shows_its_result(
    ask_long: Any, inventory: Inventory, engine: Engine
) -> None:
    made = (await ask_long("POST", "", {"params": clone_data(inventory)}))["inventory"]
    assert (made["state"], made["name"], made["jobName"]) == (
        "Waiting",
        "mine",
        "APICloneVmInstanceMsg",
    )
    engine.start(made["apiId"])
    (job,) = (await ask_long("GET", f"/{made['uuid']}"))["inventories"]
    assert job["state"] == "Succeeded"
    assert json.loads(job["jobResult"])["result"]["numberOfClonedVm"] == 1
    listed = await ask_long("GET", "?q=state=Succeeded&replyWithCount=true")
    assert listed["total"] == 1
    assert listed["schema"]["inventories[0]"] == "org.zstack.header.longjob.LongJobInventory"
    late = await ask_long("PUT", f"/{made['uuid']}/actions", {"cancelLongJob": {}})
    assert late["error"]["code"] == "LONG_JOB.1001"
    again = await ask_long("PUT", f"/{made['uuid']}/actions", {"rerunLongJob": {}})
    assert again["error"]["code"] == "SYS.1006"
    assert await ask_long("PUT", f"/{made['uuid']}/actions", {"cleanLongJob": {}}) == {
        "success": True
    }
    assert (await ask_long("GET", f"/{made['uuid']}"))["inventories"] == []


async def test_a_cancelled_long_job_is_run_again(
    ask_long: Any, inventory: Inventory, engine: Engine
) -> None:
    made = (await ask_long("POST", "", {"params": clone_data(inventory)}))["inventory"]
    actions = f"/{made['uuid']}/actions"
    cancelling = (await ask_long("PUT", actions, {"cancelLongJob": {}}))["inventory"]
    assert cancelling["state"] == "Canceling"
    engine.start(made["apiId"])
    engine.sweep()
    (job,) = (await ask_long("GET", f"/{made['uuid']}"))["inventories"]
    assert job["state"] == "Canceled"
    rerun = (await ask_long("PUT", actions, {"rerunLongJob": {}}))["inventory"]
    assert rerun["uuid"] == made["uuid"]
    assert rerun["apiId"] != made["apiId"]
    retry_of = "SELECT retry_of FROM jobs WHERE uuid = :job"
    assert engine.scalar(retry_of, job=rerun["apiId"]) == made["apiId"]
    engine.start(rerun["apiId"])
    (job,) = (await ask_long("GET", f"/{made['uuid']}"))["inventories"]
    assert job["state"] == "Succeeded"


async def test_a_suspended_long_job_is_resumed(
    ask_long: Any, inventory: Inventory, engine: Engine, api: Api, as_admin: dict[str, str]
) -> None:
    made = (await ask_long("POST", "", {"params": clone_data(inventory)}))["inventory"]
    actions = f"/{made['uuid']}/actions"
    assert (await ask_long("PUT", actions, {"resumeLongJob": {}}))["error"]["code"] == "SYS.1006"
    await api.post(f"/api/v1/clone-jobs/{made['apiId']}/pause", headers=as_admin)
    (job,) = (await ask_long("GET", f"/{made['uuid']}"))["inventories"]
    assert job["state"] == "Suspended"
    resumed = (await ask_long("PUT", actions, {"resumeLongJob": {}}))["inventory"]
    assert resumed["state"] == "Waiting"
    engine.start(made["apiId"])
    (job,) = (await ask_long("GET", f"/{made['uuid']}"))["inventories"]
    assert job["state"] == "Succeeded"


async def test_a_long_job_goes_with_its_job_and_is_not_run_again(
    ask_long: Any, inventory: Inventory, engine: Engine
) -> None:
    made = (await ask_long("POST", "", {"params": clone_data(inventory)}))["inventory"]
    engine.start(made["apiId"])
    engine.pass_time(31 * 86400)
    for _ in range(2):  # what is not counted yet waits for that
        engine.sweep()
    assert engine.scalar("SELECT count(*) FROM jobs WHERE uuid = :uuid", uuid=made["apiId"]) == 0
    assert (await ask_long("GET", f"/{made['uuid']}"))["inventories"] == []
    again = await ask_long("PUT", f"/{made['uuid']}/actions", {"rerunLongJob": {}})
    assert again["error"]["code"] == "SYS.1003"
    assert engine.scalar("SELECT count(*) FROM vm_instances WHERE name = 'a'") == 1


@pytest.mark.parametrize(
    ("params", "code", "details"),
    [
        ({"jobName": "nonsense", "jobData": "{}"}, "SYS.1007", "nonsense is not an API"),
        ({"jobName": "APIAddImageMsg", "jobData": "{}"}, "LONG_JOB.1003", "no long job handler"),
        ({"jobName": "APIGetVersionMsg", "jobData": "{}"}, "LONG_JOB.1003", "no long job"),
        ({"jobName": "APICloneVmInstanceMsg", "jobData": {}}, "SYS.1007", "string of JSON"),
        ({"jobName": "APICloneVmInstanceMsg", "jobData": "{"}, "SYS.1007", "not JSON"),
        ({"jobName": "APICloneVmInstanceMsg", "jobData": "{}"}, "SYS.1007", "mandatory"),
        ({}, "SYS.1007", "is not an API"),
    ],
)
async def test_what_is_no_long_job_is_refused(
    ask_long: Any, inventory: Inventory, params: dict[str, Any], code: str, details: str
) -> None:
    error = (await ask_long("POST", "", {"params": params}))["error"]
    assert (error["code"], details in error["details"]) == (code, True), error
    assert (await ask_long("GET", ""))["inventories"] == []
