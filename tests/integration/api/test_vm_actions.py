"""What is done with one VM, over HTTP, by a worker on fakes that is stepped by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from sqlalchemy import insert

from app.domain.errors import HostDisconnected, OperationFailed, VmStartFailed
from app.queue import TaskName
from app.settings import Settings
from app.store import quotas, shares
from app.store.models import DiskOffering
from app.store.session import Database
from tests.engine import Engine, faked_engine
from tests.factories import Inventory, make_account
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.storage import FakeStorage
from tests.integration.api.conftest import Api, open_session, submit
from tests.integration.engine.test_trouble import fails

UNKNOWN = "0" * 32
SEVERAL = "vmInstanceUuids"
VM = "org.zstack.header.vm"


@dataclass
class Stage:
    api: Api
    engine: Engine
    hypervisor: FakeHypervisor
    storage: FakeStorage
    inventory: Inventory
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, vm: str, action: str, **parameters: Any) -> str:
        """The job's uuid."""
        answer = await self.api.put(
            f"/v1/vm-instances/{vm}/actions", json={action: parameters}, headers=self.headers
        )
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["location"])[-32:]

    async def result(self, job: str) -> tuple[int, Any]:
        answer = await self.api.get(f"/v1/api-jobs/{job}", headers={"X-JSON-Schema": "true"})
        return answer.status, await answer.json()

    async def do(self, vm: str, action: str, **parameters: Any) -> Any:
        """The VM afterwards, or the ErrorCode."""
        job = await self.ask(vm, action, **parameters)
        self.engine.start(job)
        status, body = await self.result(job)
        return body["error"] if status == 503 else body.get("inventory", {})

    async def destroy(self, vm: str, query: str = "") -> tuple[int, Any]:
        answer = await self.api.delete(f"/v1/vm-instances/{vm}{query}", headers=self.headers)
        job = str((await answer.json())["location"])[-32:]
        self.engine.start(job)
        return await self.result(job)

    async def clone(self, **parameters: Any) -> str:
        """The VM's uuid."""
        source, names = self.inventory.source, parameters.pop("names", ["a"])
        job = await submit(self.api, source, self.headers, names=names, full=True, **parameters)
        self.engine.start(job)
        rows = self.engine.rows("SELECT vm_uuid, state FROM items WHERE job_uuid = :j", j=job)
        assert [row.state for row in rows] == ["Succeeded"] * len(names)
        return str(rows[0].vm_uuid)

    def held(self, vm: str) -> int:
        """Of its host."""
        return int(
            self.engine.scalar(
                "SELECT count(*) FROM reservations WHERE holder_uuid = :vm "
                "AND kind IN ('Cpu', 'Memory')",
                vm=vm,
            )
        )

    def state(self, vm: str) -> str:
        return str(
            self.engine.scalar("SELECT state::text FROM vm_instances WHERE uuid = :vm", vm=vm)
        )


@pytest.fixture
def faked(database_url: str, settings: Settings) -> Iterator[Any]:
    with faked_engine(database_url, settings) as faked:
        yield faked


@pytest.fixture
async def stage(api: Api, faked: Any, inventory: Inventory, as_admin: dict[str, str]) -> Stage:
    engine, storage, hypervisor = faked
    return Stage(api, engine, hypervisor, storage, inventory, as_admin)


async def test_a_vm_is_stopped_started_and_rebooted(stage: Stage) -> None:
    vm = await stage.clone()
    host = stage.inventory.hosts[0]
    stopped = await stage.do(vm, "stopVmInstance", type="grace", stopHA=True)
    assert (stopped["state"], stopped.get("hostUuid"), stopped["lastHostUuid"]) == (
        "Stopped",
        None,
        host,
    )
    assert (stage.hypervisor.domains, stage.held(vm)) == ({vm: False}, 0)
    started = await stage.do(vm, "startVmInstance")
    assert (started["state"], started["hostUuid"], started["uuid"]) == ("Running", host, vm)
    assert (stage.hypervisor.domains, stage.held(vm)) == ({vm: True}, 2)
    stage.hypervisor.calls.clear()
    rebooted = await stage.do(vm, "rebootVmInstance")
    assert (rebooted["state"], stage.hypervisor.domains) == ("Running", {vm: True})
    assert stage.hypervisor.calls == ["shut_down", "destroy", "start"]


async def test_a_result_is_typed_for_java(stage: Stage) -> None:
    job = await stage.ask(await stage.clone(), "rebootVmInstance")
    stage.engine.start(job)
    _, body = await stage.result(job)
    assert body["success"] is True
    assert body["schema"]["inventory"] == "org.zstack.header.vm.VmInstanceInventory"


async def test_a_deaf_guest_is_powered_off_and_cold_asks_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.operations.GRACE_S", 0.0)
    vm = await stage.clone()
    stage.hypervisor.deaf = True
    assert (await stage.do(vm, "stopVmInstance"))["state"] == "Stopped"
    assert stage.hypervisor.domains == {vm: False}
    await stage.do(vm, "startVmInstance")
    stage.hypervisor.calls.clear()
    await stage.do(vm, "stopVmInstance", type="cold")
    assert stage.hypervisor.calls == ["destroy"]


async def test_what_is_so_already_is_done_at_once(stage: Stage) -> None:
    vm = await stage.clone()
    stage.hypervisor.calls.clear()
    assert (await stage.do(vm, "startVmInstance"))["state"] == "Running"
    await stage.do(vm, "stopVmInstance", type="cold")
    assert (await stage.do(vm, "stopVmInstance"))["state"] == "Stopped"
    assert stage.hypervisor.calls == ["destroy"]


async def test_a_record_s_first_start_makes_the_clone(stage: Stage) -> None:
    vm = await stage.clone(strategy="JustCreate", userTags=["t"])
    assert (stage.state(vm), stage.storage.volumes, stage.held(vm)) == ("Created", {}, 0)
    started = await stage.do(vm, "startVmInstance")
    assert (started["uuid"], started["name"], started["state"]) == (vm, "a", "Running")
    assert [volume["type"] for volume in started["allVolumes"]] == ["Root", "Data"]
    assert started["vmNics"][0]["internalName"] == f"vnic{started['internalId']}.0"
    assert started["hostUuid"] == stage.inventory.hosts[0]
    assert len(stage.storage.volumes) == 2
    assert (stage.hypervisor.domains, stage.held(vm)) == ({vm: True}, 2)
    tags = stage.engine.rows("SELECT tag FROM tags WHERE resource_uuid = :vm", vm=vm)
    assert [row.tag for row in tags] == ["t"]
    assert (await stage.do(vm, "stopVmInstance"))["state"] == "Stopped"


async def test_a_first_start_that_fails_leaves_the_record(stage: Stage) -> None:
    vm = await stage.clone(strategy="JustCreate")
    stage.hypervisor.before = fails("start", VmStartFailed("no"))
    error = await stage.do(vm, "startVmInstance")
    assert (error["code"], error["cause"]["code"]) == ("SYS.1006", "HOST.1005")
    assert (stage.state(vm), stage.storage.volumes, stage.hypervisor.domains) == ("Created", {}, {})
    for table in ("reservations", "volumes WHERE origin = 'cloned'"):
        assert stage.engine.scalar(f"SELECT count(*) FROM {table}") in (0, stage_bases(stage)), (
            table
        )
    assert stage.engine.scalar("SELECT count(*) FROM vm_nics") == 1, "the source's"
    assert (await stage.do(vm, "startVmInstance"))["state"] == "Running"
    stage.engine.pass_time(120)
    stage.engine.sweep()
    assert stage.hypervisor.domains == {vm: True}, "no look at the first try's host removes it"


def stage_bases(stage: Stage) -> int:
    """Reservations that bases hold."""
    return int(
        stage.engine.scalar(
            "SELECT count(*) FROM reservations WHERE holder_uuid IN (SELECT uuid FROM bases)"
        )
    )


async def test_a_source_that_a_record_is_made_from_is_not_removed_meanwhile(stage: Stage) -> None:
    source = await stage.clone()
    stage.inventory.source = source
    vm = await stage.clone(strategy="JustCreate")
    stage.engine.publisher.lost = lambda message: message[0] is TaskName.PREPARE_BASE
    job = await stage.ask(vm, "startVmInstance")
    stage.engine.start(job)
    status, body = await stage.destroy(source)
    assert (status, body["error"]["code"]) == (503, "CLONE.1003")
    stage.engine.publisher.lost = lambda _: False
    stage.engine.pass_time(6)
    stage.engine.sweep()
    assert stage.state(vm) == "Running"


async def test_destroyed_recovered_expunged(stage: Stage) -> None:
    vm = await stage.clone()
    assert await stage.destroy(vm, "?deleteMode=Permissive") == (
        200,
        {"success": True},
    )
    assert (stage.state(vm), stage.held(vm), stage.hypervisor.domains) == (
        "Destroyed",
        0,
        {vm: False},
    )
    assert (await stage.do(vm, "recoverVmInstance"))["state"] == "Stopped"
    assert (await stage.do(vm, "startVmInstance"))["state"] == "Running"
    await stage.destroy(vm)
    assert await stage.do(vm, "expungeVmInstance") == {}
    assert (stage.hypervisor.domains, stage.storage.volumes) == ({}, {})
    assert stage.engine.scalar("SELECT count(*) FROM vm_instances WHERE origin = 'cloned'") == 0


async def test_destroying_nothing_succeeds_and_a_malformed_uuid_is_not_found(stage: Stage) -> None:
    assert await stage.destroy(UNKNOWN) == (200, {"success": True})
    status, body = await stage.destroy("nonsense")
    assert (status, body["error"]["code"]) == (503, "SYS.1003")


@pytest.mark.parametrize(
    ("action", "state", "allowed"),
    [
        ("rebootVmInstance", "Stopped", "[Running]"),
        ("recoverVmInstance", "Running", "[Destroyed]"),
        ("expungeVmInstance", "Running", "[Destroyed]"),
        ("startVmInstance", "Destroyed", "[Created, Stopped, Running]"),
        ("stopVmInstance", "Destroyed", "[Running, Stopped, Unknown]"),
    ],
)
async def test_a_state_that_does_not_allow_it_is_vm_1010(
    stage: Stage, action: str, state: str, allowed: str
) -> None:
    vm = await stage.clone()
    with stage.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE vm_instances SET state = '{state}'")
    error = await stage.do(vm, action)
    message = "API" + action[0].upper() + action[1:] + "Msg"
    assert (error["code"], error["cause"]["code"]) == ("SYS.1006", "VM.1010")
    assert error["cause"]["details"] == (
        f"current vm instance state[{state}] doesn't allow to proceed message[{message}], allowed "
        f"states are {allowed}"
    )


@pytest.mark.parametrize("action", ["startVmInstance", "stopVmInstance", "expungeVmInstance"])
async def test_unknown_foreign_and_adopted_vms_are_refused(
    stage: Stage, database: Database, action: str
) -> None:
    assert (await stage.do(UNKNOWN, action))["code"] == "SYS.1003"
    assert (await stage.do(stage.inventory.source, action))["code"] == "SYS.1007"
    vm = await stage.clone()
    with database.engine.begin() as connection:
        tenant = make_account(connection)
    stage.headers = open_session(database, tenant)
    assert (await stage.do(vm, action))["code"] == "ID.1002"
    assert stage.state(vm) == "Running"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/vm-instances/{mine}/actions", {"expungeVmInstance": {SEVERAL: ["{vm}"]}}),
        ("DELETE", "/v1/vm-instances/{mine}?vmInstanceUuids={vm}&vmInstanceUuids={vm}", None),
        (
            "POST",
            "/v1/longjobs",
            {"jobName": f"{VM}.APIExpungeVmInstanceMsg", "jobData": {SEVERAL: ["{vm}"]}},
        ),
        ("POST", "/zstack/api", {f"{VM}.APIExpungeVmInstanceMsg": {SEVERAL: ["{vm}"]}}),
    ],
)
async def test_nobody_names_vms_to_remove_past_their_owner(
    stage: Stage, database: Database, method: str, path: str, body: Any
) -> None:
    """`vmInstanceUuids` is what vmclone's own jobs say."""
    vm = await stage.clone()
    with database.engine.begin() as connection:
        tenant = make_account(connection)
    stage.headers = open_session(database, tenant)
    session = stage.headers["Authorization"].removeprefix("OAuth ")
    sent = orjson.loads(orjson.dumps(body).replace(b"{vm}", vm.encode()))
    if path == "/v1/longjobs":
        data = sent["jobData"] | {"uuid": UNKNOWN}
        sent = {"params": sent | {"jobData": orjson.dumps(data).decode()}}
    elif path == "/zstack/api":
        (members,) = sent.values()
        members |= {"uuid": UNKNOWN, "session": {"uuid": session}}
    answer = await stage.api.request(
        method, path.format(mine=UNKNOWN, vm=vm), json=sent, headers=stage.headers
    )
    assert answer.status in (200, 202)
    jobs = stage.engine.rows("SELECT uuid FROM jobs WHERE state = 'Accepted'")
    assert len(jobs) == 1
    stage.engine.start(jobs[0].uuid)
    assert (stage.state(vm), stage.hypervisor.domains) == ("Running", {vm: True})


async def test_a_revoked_share_ends_a_record_s_way_to_its_source(
    stage: Stage, database: Database
) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
        source = shares.find(connection, [stage.inventory.source])
        shares.share(connection, source, accounts=[tenant], to_public=False)
    stage.headers = open_session(database, tenant)
    vm = await stage.clone(strategy="JustCreate")
    with database.engine.begin() as connection:
        shares.revoke(connection, source, accounts=[tenant], to_public=False, everything=False)
    assert (await stage.do(vm, "startVmInstance"))["code"] == "ID.1002"
    assert (stage.state(vm), stage.storage.volumes) == ("Created", {})


async def test_a_revoked_network_or_offering_ends_a_record_s_first_start(
    stage: Stage, database: Database
) -> None:
    network, offering = "e" * 32, "f" * 32
    with database.engine.begin() as connection:
        tenant = make_account(connection)
        connection.exec_driver_sql(
            "INSERT INTO l3_networks (uuid, name, zone_uuid, ip_allocator, state) "
            "SELECT %s, 'other', zone_uuid, ip_allocator, state FROM l3_networks LIMIT 1",
            (network,),
        )
        connection.exec_driver_sql(
            "INSERT INTO cluster_l3_networks (cluster_uuid, l3_network_uuid) "
            "SELECT uuid, %s FROM clusters",
            (network,),
        )
        connection.execute(
            insert(DiskOffering), {"uuid": offering, "name": "o", "disk_size": 1 << 20}
        )
        for uuid in (stage.inventory.source, network, offering):
            shared = shares.find(connection, [uuid])
            shares.share(connection, shared, accounts=[tenant], to_public=False)
    stage.headers = open_session(database, tenant)
    asked = {
        "vmNicParams": [{"l3NetworkUuid": network}],
        "diskAOs": [{"diskOfferingUuid": offering}],
    }
    vm = await stage.clone(strategy="JustCreate", **asked)
    for uuid in (network, offering):
        with database.engine.begin() as connection:
            shared = shares.find(connection, [uuid])
            shares.revoke(connection, shared, accounts=[tenant], to_public=False, everything=False)
        error = await stage.do(vm, "startVmInstance")
        assert (error["code"], uuid in error["details"]) == ("ID.1002", True)
        with database.engine.begin() as connection:
            shares.share(connection, shared, accounts=[tenant], to_public=False)
    assert (await stage.do(vm, "startVmInstance"))["state"] == "Running"


async def test_a_record_that_admin_starts_stays_its_owner_s(
    stage: Stage, database: Database
) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
        source = shares.find(connection, [stage.inventory.source])
        shares.share(connection, source, accounts=[tenant], to_public=False)
    admin, stage.headers = stage.headers, open_session(database, tenant)
    vm = await stage.clone(strategy="JustCreate")
    stage.headers = admin
    assert (await stage.do(vm, "startVmInstance"))["state"] == "Running"
    owners = stage.engine.rows("SELECT account_uuid FROM volumes WHERE origin = 'cloned'")
    assert [row.account_uuid for row in owners] == [tenant, tenant]


async def test_a_recovered_vm_counts_again(stage: Stage, database: Database) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
        quotas.put(connection, tenant, "vm.totalNum", 1)
        source = shares.find(connection, [stage.inventory.source])
        shares.share(connection, source, accounts=[tenant], to_public=False)
    stage.headers = open_session(database, tenant)
    first = await stage.clone()
    await stage.destroy(first)
    await stage.clone(names=["b"])
    assert (await stage.do(first, "recoverVmInstance"))["code"] == "ID.1003"
    assert stage.state(first) == "Destroyed"


async def test_one_operation_on_a_vm_at_a_time(stage: Stage) -> None:
    vm = await stage.clone()
    stage.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    first = await stage.ask(vm, "stopVmInstance")
    stage.engine.start(first)
    assert stage.state(vm) == "Stopping"
    error = await stage.do(vm, "rebootVmInstance")
    assert error["cause"]["code"] == "VM.1010"
    assert "another operation" in error["cause"]["details"]
    assert (await stage.destroy(vm))[1]["error"]["cause"]["code"] == "VM.1010"


async def test_a_start_that_fails_holds_nothing(stage: Stage) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    stage.hypervisor.before = fails("start", VmStartFailed("no"))
    error = await stage.do(vm, "startVmInstance")
    assert (error["code"], error["cause"]["code"]) == ("SYS.1006", "HOST.1005")
    assert (stage.state(vm), stage.held(vm)) == ("Stopped", 0)


async def test_a_stop_that_fails_leaves_the_vm_as_its_host_has_it(stage: Stage) -> None:
    vm = await stage.clone()
    stage.hypervisor.before = fails("destroy", OperationFailed("stuck"))
    error = await stage.do(vm, "stopVmInstance", type="cold")
    assert error["code"] == "SYS.1006"
    assert (stage.state(vm), stage.held(vm)) == ("Running", 2)


async def test_a_passing_fault_is_tried_again(stage: Stage) -> None:
    vm = await stage.clone()
    stage.hypervisor.before = fails("destroy", HostDisconnected("away"))
    job = await stage.ask(vm, "stopVmInstance", type="cold")
    stage.engine.start(job)
    assert (stage.state(vm), stage.engine.item_states(job)) == ("Stopping", ["Granted"])
    stage.engine.pass_time(3)
    stage.engine.sweep()
    assert stage.state(vm) == "Stopped"


async def test_a_start_without_room_fails(stage: Stage) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    with stage.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET foreign_cpu = 1000")
    error = await stage.do(vm, "startVmInstance")
    assert error["code"] == "HOST_ALLOCATION.1000"
    assert "no host having cpu[1]" in error["details"]
    assert (stage.state(vm), stage.held(vm)) == ("Stopped", 0)


async def test_a_start_elsewhere_than_its_host_is_refused(stage: Stage) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    assert (await stage.do(vm, "startVmInstance", hostUuid=UNKNOWN))["code"] == "SYS.1003"
    host = stage.inventory.hosts[0]
    assert (await stage.do(vm, "startVmInstance", hostUuid=host))["state"] == "Running"


async def test_cancelled_before_a_worker_took_it_a_start_holds_nothing(stage: Stage) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    stage.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    job = await stage.ask(vm, "startVmInstance")
    stage.engine.start(job)
    assert (stage.state(vm), stage.held(vm)) == ("Starting", 2)
    await stage.api.post(f"/api/v1/clone-jobs/{job}/cancel", headers=stage.headers)
    stage.engine.sweep()
    assert (stage.state(vm), stage.held(vm)) == ("Stopped", 0)
    assert (await stage.result(job))[1]["error"]["code"] == "SYS.1017"


@pytest.mark.parametrize("action", ["stopVmInstance", "destroy"])
async def test_given_up_before_a_worker_took_it_an_unknown_vm_stays_unknown(
    stage: Stage, action: str
) -> None:
    vm = await stage.clone()
    with stage.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE vm_instances SET state = 'Unknown'")
    stage.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    if action == "destroy":
        await stage.destroy(vm)
        job = stage.engine.scalar("SELECT uuid FROM jobs WHERE kind = 'destroy'")
        assert stage.state(vm) == "Destroying"
    else:
        job = await stage.ask(vm, action)
        stage.engine.start(job)
        assert stage.state(vm) == "Stopping"
    await stage.api.post(f"/api/v1/clone-jobs/{job}/cancel", headers=stage.headers)
    stage.engine.sweep()
    assert (stage.state(vm), stage.held(vm)) == ("Unknown", 2)
    (item,) = stage.engine.rows("SELECT state, finished_at FROM items WHERE job_uuid = :j", j=job)
    assert item.state == "Canceled"
    assert item.finished_at is not None


def hear_of_hosts(stage: Stage, seconds: int) -> None:
    """For the last time so long ago; below zero: now, and for so long from now on."""
    with stage.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE hosts SET seen_at = clock_timestamp() - interval '{seconds} seconds'"
        )


async def shown(stage: Stage, job: str) -> tuple[Any, ...]:
    """State and wait reason of the job's item, and the reasons of the job."""
    path = f"/api/v1/clone-jobs/{job}"
    items = await (await stage.api.get(f"{path}/items", headers=stage.headers)).json()
    whole = await (await stage.api.get(path, headers=stage.headers)).json()
    (item,) = items["items"]
    return item["state"], item["waitReason"], whole["waitReasons"]


async def test_a_start_waits_for_its_silent_host_holding_nothing(stage: Stage) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    hear_of_hosts(stage, 6)
    job = await stage.ask(vm, "startVmInstance")
    stage.engine.start(job)
    assert await shown(stage, job) == ("Waiting", "hostLost", {"hostLost": 1})
    assert (stage.state(vm), stage.held(vm)) == ("Stopped", 0)
    hear_of_hosts(stage, -3600)
    stage.engine.sweep()
    assert (stage.state(vm), stage.held(vm), stage.hypervisor.domains) == ("Running", 2, {vm: True})
    assert (await stage.result(job))[0] == 200


async def test_a_start_waits_until_its_deadline(stage: Stage) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    hear_of_hosts(stage, 60)
    job = await stage.ask(vm, "startVmInstance")
    stage.engine.start(job)
    stage.engine.pass_time(13 * 3600)
    stage.engine.sweep()
    assert (await stage.result(job))[1]["error"]["code"] == "SYS.1001"
    assert (stage.state(vm), stage.held(vm)) == ("Stopped", 0)
    hear_of_hosts(stage, -3600)
    stage.engine.sweep()
    assert stage.state(vm) == "Stopped"


@pytest.mark.parametrize("why", ["the host fell silent", "the job was paused"])
async def test_a_start_that_nobody_took_waits_again(stage: Stage, why: str) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    stage.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    job = await stage.ask(vm, "startVmInstance")
    stage.engine.start(job)
    assert (stage.state(vm), stage.held(vm)) == ("Starting", 2)
    verb = f"/api/v1/clone-jobs/{job}"
    if "paused" in why:
        await stage.api.post(f"{verb}/pause", headers=stage.headers)
    else:
        hear_of_hosts(stage, 11)
    stage.engine.sweep()
    reason = "paused" if "paused" in why else "hostLost"
    assert await shown(stage, job) == ("Waiting", reason, {reason: 1})
    assert (stage.state(vm), stage.held(vm)) == ("Stopped", 0)
    stage.engine.publisher.lost = lambda _: False
    await stage.api.post(f"{verb}/resume", headers=stage.headers)
    hear_of_hosts(stage, -3600)
    stage.engine.sweep()
    assert (stage.state(vm), stage.held(vm)) == ("Running", 2)


async def test_a_start_for_which_its_host_has_no_room_any_more_fails(stage: Stage) -> None:
    vm = await stage.clone()
    await stage.do(vm, "stopVmInstance")
    hear_of_hosts(stage, 60)
    job = await stage.ask(vm, "startVmInstance")
    stage.engine.start(job)
    hear_of_hosts(stage, -3600)
    with stage.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET foreign_cpu = 1000")
    stage.engine.sweep()
    error = (await stage.result(job))[1]["error"]
    assert (error["code"], error["cause"]["code"]) == ("SYS.1006", "HOST_ALLOCATION.1000")
    assert (stage.state(vm), stage.held(vm)) == ("Stopped", 0)


async def test_starts_that_wait_count_for_the_quota(stage: Stage, database: Database) -> None:
    first = await stage.clone(names=["a", "b"])
    (second,) = [
        row.uuid for row in stage.engine.rows("SELECT uuid FROM vm_instances WHERE name = 'b'")
    ]
    for vm in (first, second):
        await stage.do(vm, "stopVmInstance")
    with database.engine.begin() as connection:
        owner = make_account(connection)
        connection.exec_driver_sql("UPDATE vm_instances SET account_uuid = %s", (owner,))
        quotas.put(connection, owner, "vm.num", 1)
    stage.headers = open_session(database, owner)
    hear_of_hosts(stage, 60)
    stage.engine.start(await stage.ask(first, "startVmInstance"))
    assert (await stage.do(second, "startVmInstance"))["code"] == "ID.1003"


async def test_an_update_changes_names_and_what_a_stopped_vm_has(stage: Stage) -> None:
    vm = await stage.clone()
    changed = await stage.do(vm, "updateVmInstance", name="b", description="d")
    assert (changed["name"], changed["description"], changed["state"]) == ("b", "d", "Running")
    assert (await stage.do(vm, "updateVmInstance", cpuNum=2))["code"] == "SYS.1007"
    await stage.do(vm, "stopVmInstance")
    resized = await stage.do(vm, "updateVmInstance", cpuNum=2, memorySize=2 << 30)
    assert (resized["cpuNum"], resized["memorySize"], resized["state"]) == (2, 2 << 30, "Stopped")
    assert stage.hypervisor.sizes == {vm: (2, 2 << 30)}
    for parameters in ({"state": "Running"}, {"name": " "}, {"cpuNum": 0}, {"platform": "Other"}):
        assert (await stage.do(vm, "updateVmInstance", **parameters))["code"] == "SYS.1007"


async def test_linked_clones_stand_when_their_source_is_gone(stage: Stage) -> None:
    source = await stage.clone()
    stage.inventory.source = source
    clone = await stage.clone(systemTags=["cloneMode::linked"])
    await stage.destroy(source)
    await stage.do(source, "expungeVmInstance")
    stage.engine.pass_time(10**6)
    stage.engine.sweep()
    assert (await stage.do(clone, "rebootVmInstance"))["state"] == "Running"
    bases = stage.engine.rows(
        "SELECT base_uuid FROM volumes WHERE vm_instance_uuid = :vm", vm=clone
    )
    assert {row.base_uuid for row in bases} <= set(stage.storage.bases)
    assert len(bases) == 2


async def test_a_bad_session_is_accepted_and_then_failed(stage: Stage) -> None:
    stage.headers = {"Authorization": "OAuth nobody"}
    job = await stage.ask(UNKNOWN, "startVmInstance")
    status, body = await stage.result(job)
    assert (status, body["error"]["code"]) == (503, "ID.1001")


async def test_progress_counts_one(stage: Stage) -> None:
    vm = await stage.clone()
    job = await stage.ask(vm, "stopVmInstance")
    _, body = await stage.result(job)
    assert body["progress"] == {"state": "Accepted", "total": 1}
