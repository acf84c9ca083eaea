"""The legacy envelope: each line of what its clients rely on."""

import json
from typing import Any

import pytest

from app.api.main import DEFAULT_PASSWORD
from app.store.accounts import sha512
from app.store.session import Database
from app.zstack.messages import MESSAGES, query_classes
from tests.engine import Engine
from tests.factories import Inventory
from tests.integration.api.conftest import Api

VM = "org.zstack.header.vm."
IDENTITY = "org.zstack.header.identity."


async def call(api: Api, java_class: str, session: str | None = None, **members: Any) -> Any:
    """The whole envelope."""
    if session is not None:
        members["session"] = {"uuid": session}
    answer = await api.post("/zstack/api", json={java_class: members})
    assert answer.status == 200
    return await answer.json()


def result_of(envelope: Any) -> tuple[str, Any]:
    """(class, members)"""
    assert envelope["state"] == "Done"
    assert envelope["createdDate"]
    assert envelope["finishedDate"]
    ((java_class, members),) = json.loads(envelope["result"]).items()
    return java_class, members


@pytest.fixture
def session(as_admin: dict[str, str]) -> str:
    return as_admin["Authorization"].removeprefix("OAuth ")


async def test_a_sync_call_is_done_at_once_and_has_no_uuid(api: Api) -> None:
    password = sha512(DEFAULT_PASSWORD)
    envelope = await call(
        api, f"{IDENTITY}APILogInByAccountMsg", accountName="admin", password=password
    )
    assert "uuid" not in envelope
    java_class, reply = result_of(envelope)
    assert java_class == f"{IDENTITY}APILogInByAccountReply"
    assert reply["success"] is True
    session = reply["inventory"]["uuid"]
    _, valid = result_of(await call(api, f"{IDENTITY}APIValidateSessionMsg", sessionUuid=session))
    assert valid == {"success": True, "valid": True}
    _, left = result_of(await call(api, f"{IDENTITY}APILogOutMsg", session, sessionUuid=session))
    assert left == {"success": True}
    _, refused = result_of(await call(api, f"{VM}APIQueryVmInstanceMsg", session, conditions=[]))
    assert (refused["success"], refused["error"]["code"]) == (False, "ID.1001")


async def test_a_wrong_password_is_inside_the_result(api: Api) -> None:
    _, reply = result_of(
        await call(api, f"{IDENTITY}APILogInByAccountMsg", accountName="admin", password="x")
    )
    assert (reply["success"], reply["error"]["code"]) == (False, "ID.1000")


@pytest.mark.parametrize("slash", ["/", ""])
async def test_an_async_call_is_polled(
    api: Api, engine: Engine, inventory: Inventory, session: str, slash: str
) -> None:
    envelope = await call(
        api,
        f"{VM}APICloneVmInstanceMsg",
        session,
        vmInstanceUuid=inventory.source,
        names=["a"],
    )
    uuid = envelope["uuid"]
    assert envelope == {"uuid": uuid, "state": "Processing", "createdDate": envelope["createdDate"]}
    path = f"/zstack/api/result{slash}{uuid}"
    assert (await (await api.get(path)).json()) == envelope
    engine.start(uuid)
    java_class, event = result_of(await (await api.get(path)).json())
    assert java_class == f"{VM}APICloneVmInstanceEvent"
    assert (event["success"], event["result"]["numberOfClonedVm"]) == (True, 1)
    clone = event["result"]["inventories"][0]["inventory"]["uuid"]
    stop = await call(api, f"{VM}APIStopVmInstanceMsg", session, uuid=clone, type="cold")
    engine.start(stop["uuid"])
    java_class, event = result_of(
        await (await api.get(f"/zstack/api/result/{stop['uuid']}")).json()
    )
    assert java_class == f"{VM}APIStopVmInstanceEvent"
    assert event["inventory"]["state"] == "Stopped"


async def test_failures_are_inside_the_result(
    api: Api, engine: Engine, inventory: Inventory, session: str
) -> None:
    envelope = await call(api, f"{VM}APICloneVmInstanceMsg", session, vmInstanceUuid="0" * 32)
    engine.start(envelope["uuid"])
    answer = await api.get(f"/zstack/api/result/{envelope['uuid']}")
    assert answer.status == 200
    _, event = result_of(await answer.json())
    assert (event["success"], event["error"]["code"]) == (False, "SYS.1007")
    expired = await call(api, f"{VM}APIStartVmInstanceMsg", "nobody", uuid=inventory.source)
    _, event = result_of(await (await api.get(f"/zstack/api/result/{expired['uuid']}")).json())
    assert event["error"]["code"] == "ID.1001"
    _, event = result_of(await call(api, f"{VM}APIStartVmInstanceMsg", session))
    assert event["error"]["details"] == (
        "field[uuid] of message[APIStartVmInstanceMsg] is mandatory, can not be null"
    )


@pytest.mark.parametrize("part", ["{}/../{}", "../{}", "..", ".", "/", "{}/actions"])
async def test_what_is_no_part_of_a_path_names_nothing(
    api: Api, inventory: Inventory, session: str, part: str
) -> None:
    uuid = part.replace("{}", inventory.source)
    for message in ("APIStopVmInstanceMsg", "APIDestroyVmInstanceMsg"):
        _, event = result_of(await call(api, f"{VM}{message}", session, uuid=uuid))
        assert (event["success"], event["error"]["code"]) == (False, "SYS.1003")
        assert f"resource[uuid:{uuid}" in event["error"]["details"]


async def test_an_unknown_result_is_404(api: Api) -> None:
    assert (await api.get(f"/zstack/api/result/{'0' * 32}")).status == 404


async def test_queries_have_conditions_and_values_that_hold_operators(
    api: Api, inventory: Inventory, session: str, database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE vm_instances SET name = 'a!=b'")
    for conditions, number in (
        ([{"name": "name", "op": "=", "value": "a!=b"}], 1),
        ([{"name": "name", "op": "!=", "value": "a!=b"}], 0),
        ([{"name": "state", "op": "in", "value": "Running,Stopped"}], 1),
        ([{"name": "state", "op": "not in", "value": "Stopped"}], 0),
        ([{"name": "hostUuid", "op": "is null", "value": ""}], 1),
        ([{"name": "hostUuid", "op": "is not null", "value": ""}], 0),
        ([{"name": "name", "op": "like", "value": "a%"}], 1),
        ([{"name": "name", "op": "not like", "value": "a%"}], 0),
        ([{"name": "cpuNum", "op": ">=", "value": "1"}], 1),
    ):
        java_class, reply = result_of(
            await call(
                api,
                f"{VM}APIQueryVmInstanceMsg",
                session,
                conditions=conditions,
                replyWithCount=True,
                limit=10,
                start=0,
                sortBy="createDate",
                sortDirection="desc",
            )
        )
        assert java_class == f"{VM}APIQueryVmInstanceReply"
        assert (len(reply["inventories"]), reply["total"]) == (number, number), conditions
    _, reply = result_of(
        await call(api, f"{VM}APIQueryVmInstanceMsg", session, conditions=[{"name": "x"}])
    )
    assert (reply["success"], reply["error"]["code"]) == (False, "SYS.1007")


async def test_what_the_api_does_itself_is_done_at_once(api: Api, session: str) -> None:
    java_class, event = result_of(
        await call(api, f"{IDENTITY}APICreateAccountMsg", session, name="t", password="p" * 128)
    )
    assert java_class == f"{IDENTITY}APICreateAccountEvent"
    assert event["inventory"]["name"] == "t"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"a":1}', b'{"a":{},"b":{}}'])
async def test_a_body_that_is_no_message_is_answered_with_text(api: Api, body: bytes) -> None:
    answer = await api.put("/zstack/api/", data=body)
    assert answer.status == 200
    assert await answer.text()


_CLASSES = [m.request_class for m in MESSAGES] + [java for java, _ in query_classes()]


async def test_no_message_makes_the_server_fail(api: Api, session: str) -> None:
    for java_class in _CLASSES:
        if "LogOut" in java_class:
            continue
        for members in (
            {},
            {"uuid": 5, "sessionUuid": [], "apiId": {}, "names": "x", "jobData": 1},
            {"uuid": "../a", "vmInstanceUuid": "/", "sessionUuid": "\u0000", "apiId": "%00"},
            {"uuid": "x\u0000", "conditions": [5], "fields": {}, "jobName": "APIxMsg"},
            {"params": 5, "limit": "x", "q": ["\u0000"], "cpuNum": "\u0000", "type": {}},
        ):
            body = {java_class: {**members, "session": {"uuid": session}}}
            answer = await api.post("/zstack/api", json=body)
            text = await answer.text()
            assert answer.status == 200, (java_class, members, text)
            assert "SYS.1000" not in text, (java_class, members)
