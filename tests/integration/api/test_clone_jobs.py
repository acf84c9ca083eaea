"""Our own surface: clone jobs posted, listed, controlled, retried."""

import asyncio
from typing import Any

import pytest

from app.queue import TaskName
from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory, make_account
from tests.integration.api.conftest import Api, open_session

OWN = "/api/v1/clone-jobs"


async def post(api: Api, headers: dict[str, str], body: Any, path: str = "", **more: str) -> Any:
    """(status, answer)."""
    answer = await api.post(OWN + path, json=body, headers=headers | more)
    return answer.status, await answer.json()


async def made(api: Api, headers: dict[str, str], vm: str, **fields: Any) -> dict[str, Any]:
    status, job = await post(api, headers, {"vmInstanceUuid": vm} | fields)
    assert status == 202, job
    return dict(job)


async def got(api: Api, headers: dict[str, str], path: str) -> Any:
    answer = await api.get(OWN + path, headers=headers)
    return await answer.json()


def new_tenant(database: Database) -> dict[str, str]:
    """The headers of a session of an account of its own."""
    with database.engine.begin() as connection:
        account = make_account(connection)
    return open_session(database, account)


async def test_a_job_is_posted_with_a_pattern_a_mode_and_a_priority(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    answer = await api.post(
        OWN,
        json={
            "vmInstanceUuid": inventory.source,
            "namePattern": "web-{08..10}.example",
            "mode": "full",
            "priority": 9,
            "full": True,
        },
        headers=as_admin,
    )
    job = await answer.json()
    assert answer.status == 202
    assert answer.headers["Location"] == f"{OWN}/{job['uuid']}"
    assert (job["state"], job["total"], job["priority"]) == ("Accepted", 3, 9)
    engine.start(job["uuid"])
    items = (await got(api, as_admin, f"/{job['uuid']}/items"))["items"]
    assert [item["name"] for item in items] == [
        "web-08.example",
        "web-09.example",
        "web-10.example",
    ]
    assert {item["method"] for item in items} == {"full"}


async def test_volumes_are_chosen_one_by_one(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    data = inventory.data_volumes[0]
    job = await made(
        api,
        as_admin,
        inventory.source,
        names=["a"],
        mode="linked",
        volumes=[{"uuid": data, "include": True, "mode": "full"}],
    )
    engine.start(job["uuid"])
    rows = engine.rows(
        "SELECT v.type::text, v.method::text FROM volumes v JOIN items i "
        "ON i.vm_uuid = v.vm_instance_uuid ORDER BY v.device_id"
    )
    assert [tuple(row) for row in rows] == [("Root", "linked"), ("Data", "full")]
    without = await made(
        api,
        as_admin,
        inventory.source,
        names=["b"],
        full=True,
        volumes=[{"uuid": data, "include": False}],
    )
    engine.start(without["uuid"])
    assert engine.scalar("SELECT array_length(volume_uuids, 1) FROM items WHERE name = 'b'") == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"namess": ["a"]}, "unknown field[namess]"),
    ({"vmInstanceUuid": ""}, "field[vmInstanceUuid] must be"),
    ({"vmInstanceUuid": None}, "field[vmInstanceUuid] must be"),
    ({"names": []}, "must be a nonempty list"),
    ({"names": ["a"], "namePattern": "b-{1..2}"}, "not both"),
    ({"names": None, "namePattern": "b"}, "must hold one range"),
    ({"names": None, "namePattern": "b-{1..2}-{1..2}"}, "must hold one range"),
    ({"names": None, "namePattern": "b-{1..10001}"}, "stands for 10001 names"),
    ({"names": None, "namePattern": "b-{5..1}"}, "stands for 0 names"),
    ({"mode": "copy"}, "field[mode] is one of auto, reflink, linked, full"),
    ({"mode": ["full"]}, "field[mode] is one of"),
    ({"priority": 10}, "field[priority] is a number from 0"),
    ({"priority": True}, "field[priority] is a number from 0"),
    ({"policy": {"onFailure": "never"}}, "field[policy.onFailure] is one of keep, allOrNothing"),
    ({"policy": {"maxFailures": -1}}, "field[policy.maxFailures] is a number"),
    ({"policy": []}, "field[policy] has the members"),
    ({"volumes": {}}, "field[volumes] must be a list"),
    ({"volumes": [{"uuid": "x"}]}, "field[volumes[0].uuid] must be"),
    ({"volumes": [{"uuid": "a" * 32, "mode": "x"}]}, "field[volumes[0].mode] is one of"),
    ({"volumes": [{"uuid": "a" * 32, "include": 1}]}, "field[volumes[0].include] must be"),
    ({"volumes": [{"uuid": "a" * 32, "size": 1}]}, "unknown field[volumes[0].size]"),
]


@pytest.mark.parametrize(("fields", "detail"), BAD)
async def test_a_form_that_cannot_be_is_refused_at_once(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    engine: Engine,
    fields: dict[str, Any],
    detail: str,
) -> None:
    body = {"vmInstanceUuid": inventory.source, "names": ["a"]} | fields
    status, problem = await post(api, as_admin, body)
    assert (status, problem["code"]) == (400, "SYS.1007")
    assert detail in problem["detail"]
    assert engine.scalar("SELECT count(*) FROM jobs") == 0


async def test_a_volume_of_another_vm_refuses_the_job(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    other = await made(api, as_admin, inventory.source, names=["a"], volumes=[{"uuid": "a" * 32}])
    root = await made(
        api,
        as_admin,
        inventory.source,
        names=["a"],
        volumes=[{"uuid": inventory.root_volume, "include": False}],
    )
    for job, detail in ((other, "has no volume"), (root, "is the root volume")):
        engine.start(job["uuid"])
        ended = await got(api, as_admin, f"/{job['uuid']}")
        assert (ended["outcome"], ended["error"]["code"]) == ("Failed", "SYS.1007")
        assert detail in ended["error"]["details"]


async def test_without_a_session_nothing_is_accepted(
    api: Api, inventory: Inventory, engine: Engine
) -> None:
    body = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    status, _ = await post(api, {"Authorization": "OAuth " + "0" * 32}, body)
    assert status == 401
    assert engine.scalar("SELECT count(*) FROM jobs") == 0


async def test_the_same_key_and_body_is_one_job(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    body = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    key = as_admin | {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(*(post(api, key, body) for _ in range(8)))
    assert {status for status, _ in answers} == {202}
    assert len({job["uuid"] for _, job in answers}) == 1
    assert engine.scalar("SELECT count(*) FROM jobs") == 1
    again = await api.post(OWN, json=body, headers=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    status, problem = await post(api, key, body | {"names": ["b"]})
    assert status == 422
    assert "was used for another request" in problem["detail"]


async def test_keys_are_an_account_s_own_and_end_after_a_day(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    tenant = new_tenant(database)
    body = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    _, first = await post(api, as_admin, body, **{"Idempotency-Key": "k"})
    _, other = await post(api, tenant, body, **{"Idempotency-Key": "k"})
    assert first["uuid"] != other["uuid"]
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'"
        )
    engine.sweep()
    _, later = await post(api, as_admin, body, **{"Idempotency-Key": "k"})
    assert later["uuid"] != first["uuid"]


async def test_a_refused_job_frees_its_key(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    body = {"vmInstanceUuid": "0" * 32, "names": ["a"]}
    _, refused = await post(api, as_admin, body, **{"Idempotency-Key": "k"})
    engine.start(refused["uuid"])
    _, again = await post(api, as_admin, body, **{"Idempotency-Key": "k"})
    assert again["uuid"] != refused["uuid"]


@pytest.mark.parametrize("key", ["", "x" * 256, "ä"])
async def test_a_key_has_a_form(api: Api, as_admin: dict[str, str], key: str) -> None:
    body = {"vmInstanceUuid": "0" * 32, "names": ["a"]}
    status, problem = await post(api, as_admin, body, **{"Idempotency-Key": key})
    assert status == 400
    assert "Idempotency-Key" in problem["detail"]


async def test_a_job_uuid_given_twice_is_refused_and_keeps_no_key(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    body = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    mine = {"X-Job-UUID": "a" * 32}
    assert (await post(api, as_admin, body, **mine))[0] == 202
    for more in ({}, {"Idempotency-Key": "k"}):
        status, problem = await post(api, as_admin, body, **(mine | more))
        assert (status, problem["detail"]) == (400, f"Duplicate job uuid[{'a' * 32}]")
    assert engine.scalar("SELECT count(*) FROM idempotency_keys") == 0


async def test_verbs_answer_with_the_job_and_may_come_twice(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, names=["a", "b"])
    uuid = job["uuid"]
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(uuid)
    for _ in range(2):
        status, view = await post(api, as_admin, None, f"/{uuid}/pause")
        assert (status, view["state"]) == (200, "Running")
    engine.sweep()
    shown = await got(api, as_admin, f"/{uuid}")
    assert shown["waitReasons"] == {"paused": 2}
    assert shown["pausedAt"]
    for _ in range(2):
        assert (await post(api, as_admin, None, f"/{uuid}/resume"))[0] == 200
    item = (await got(api, as_admin, f"/{uuid}/items"))["items"][0]
    status, canceled = await post(api, as_admin, None, f"/{uuid}/items/{item['uuid']}/cancel")
    assert (status, canceled["state"]) == (200, "Canceled")
    assert (await got(api, as_admin, f"/{uuid}"))["cancelRequestedAt"] is None
    for _ in range(2):
        status, view = await post(api, as_admin, None, f"/{uuid}/cancel")
        assert (status, view["state"]) == (200, "Running")
        assert view["cancelRequestedAt"].endswith("Z")
    engine.sweep()
    ended = await got(api, as_admin, f"/{uuid}")
    assert (ended["state"], ended["outcome"], ended["canceled"]) == ("Finished", "Canceled", 2)
    assert (await post(api, as_admin, None, f"/{uuid}/cancel"))[0] == 200, "it was asked for before"
    for verb in ("pause", "resume"):
        status, problem = await post(api, as_admin, None, f"/{uuid}/{verb}")
        assert (status, problem["detail"]) == (
            409,
            f"clone job {uuid} is Finished; there is nothing to {verb} any more",
        )


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "items/x/cancel"])
async def test_verbs_are_the_account_s_own(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    engine: Engine,
    database: Database,
    verb: str,
) -> None:
    tenant = new_tenant(database)
    job = await made(api, as_admin, inventory.source, names=["a"])
    status, _ = await post(api, tenant, None, f"/{job['uuid']}/{verb}")
    assert status == 404
    assert engine.scalar("SELECT cancel_requested_at IS NULL AND paused_at IS NULL FROM jobs")


async def test_an_item_of_another_job_is_not_found(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    jobs = [await made(api, as_admin, inventory.source, names=["a"]) for _ in range(2)]
    for job in jobs:
        engine.start(job["uuid"])
    item = (await got(api, as_admin, f"/{jobs[0]['uuid']}/items"))["items"][0]
    path = f"/{jobs[1]['uuid']}/items/{item['uuid']}/cancel"
    assert (await post(api, as_admin, None, path))[0] == 404
    path = f"/{jobs[0]['uuid']}/items/{item['uuid']}/cancel"
    status, problem = await post(api, as_admin, None, path)
    assert status == 409
    assert "has ended as Succeeded" in problem["detail"]


async def test_a_retry_is_a_new_job_of_what_was_not_cloned(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(
        api, as_admin, inventory.source, names=["a", "b"], priority=7, description="again"
    )
    uuid = job["uuid"]
    assert (await post(api, as_admin, None, f"/{uuid}/retry"))[0] == 409
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(uuid)
    item = (await got(api, as_admin, f"/{uuid}/items"))["items"][0]
    await post(api, as_admin, None, f"/{uuid}/items/{item['uuid']}/cancel")
    engine.publisher.lost = lambda _: False
    engine.pass_time(6)
    engine.sweep()
    before = await (await api.get(f"/zstack/v1/api-jobs/{uuid}")).read()
    key = {"Idempotency-Key": "r", "X-Job-UUID": "d" * 32}
    status, again = await post(api, as_admin, None, f"/{uuid}/retry", **key)
    assert status == 202
    assert (again["retryOf"], again["total"], again["priority"]) == (uuid, 1, 7)
    assert again["uuid"] == "d" * 32
    _, replayed = await post(api, as_admin, None, f"/{uuid}/retry", **key)
    assert replayed["uuid"] == again["uuid"]
    status, problem = await post(api, as_admin, None, f"/{uuid}/retry")
    assert (status, again["uuid"] in problem["detail"]) == (409, True), "not before it was judged"
    assert engine.scalar("SELECT count(*) FROM jobs") == 2
    engine.start(again["uuid"])
    items = (await got(api, as_admin, f"/{again['uuid']}/items"))["items"]
    assert [(item["name"], item["state"]) for item in items] == [("a", "Succeeded")]
    assert await (await api.get(f"/zstack/v1/api-jobs/{uuid}")).read() == before
    status, problem = await post(api, as_admin, None, f"/{again['uuid']}/retry")
    assert (status, "nothing to retry" in problem["detail"]) == (409, True)
    status, problem = await post(api, as_admin, None, f"/{uuid}/retry")
    assert (status, again["uuid"] in problem["detail"]) == (409, True)
    assert (await got(api, as_admin, f"/{uuid}"))["retriedAs"] == again["uuid"]


async def test_of_two_retries_at_once_one_is_made(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, "0" * 32, names=["a"])
    engine.start(job["uuid"])
    retry = f"/{job['uuid']}/retry"
    answers = await asyncio.gather(*(post(api, as_admin, None, retry) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [202] + [409] * 7


async def test_what_a_retry_has_cloned_or_under_way_is_not_tried_again(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    """A name that stands twice counts twice, and retries of retries count too."""

    async def retry(uuid: str) -> list[str]:
        """Its names; the job is left with names that wait."""
        status, made = await post(api, as_admin, None, f"/{uuid}/retry")
        assert status == 202, made
        engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
        engine.start(made["uuid"])
        items = (await got(api, as_admin, f"/{made['uuid']}/items"))["items"]
        last.append((made["uuid"], items))
        return [item["name"] for item in items]

    async def cancel(number: int) -> None:
        """One item of the last job; the others are cloned."""
        uuid, items = last[-1]
        await post(api, as_admin, None, f"/{uuid}/items/{items[number]['uuid']}/cancel")
        engine.publisher.lost = lambda _: False
        engine.pass_time(6)
        engine.sweep()

    last: list[tuple[str, Any]] = []
    job = await made(api, as_admin, inventory.source, names=["a", "a", "b"])
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(job["uuid"])
    await post(api, as_admin, None, f"/{job['uuid']}/cancel")
    engine.sweep()
    assert await retry(job["uuid"]) == ["a", "a", "b"]
    status, _ = await post(api, as_admin, None, f"/{job['uuid']}/retry")
    assert status == 409, "all of them are under way"
    await cancel(0)
    assert await retry(last[0][0]) == ["a"]
    status, _ = await post(api, as_admin, None, f"/{job['uuid']}/retry")
    assert status == 409, "by a retry of the retry"
    await cancel(0)
    assert await retry(job["uuid"]) == ["a"]


async def test_an_administrators_retry_is_the_tenants_job(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    tenant = new_tenant(database)
    job = await made(api, tenant, "0" * 32, names=["a"])
    engine.start(job["uuid"])
    status, again = await post(
        api, as_admin, None, f"/{job['uuid']}/retry", **{"Idempotency-Key": "k"}
    )
    assert (status, again["account"]) == (202, job["account"])
    assert (await got(api, tenant, f"/{again['uuid']}"))["retryOf"] == job["uuid"]
    _, replayed = await post(
        api, as_admin, None, f"/{job['uuid']}/retry", **{"Idempotency-Key": "k"}
    )
    assert replayed["uuid"] == again["uuid"]


@pytest.mark.parametrize("account", [None, "f" * 32], ids=["a refused session", "an account gone"])
async def test_a_job_of_nobody_is_not_retried(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    engine: Engine,
    database: Database,
    account: str | None,
) -> None:
    job = await made(api, as_admin, "0" * 32, names=["a"])
    engine.start(job["uuid"])
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET account_uuid = %s, request = CASE WHEN %s THEN request END",
            (account, account is not None),
        )
    status, problem = await post(api, as_admin, None, f"/{job['uuid']}/retry")
    assert (status, "is no account's that is there" in problem["detail"]) == (409, True)


async def test_a_refused_job_is_retried_whole(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, "0" * 32, names=["a", "b"])
    engine.start(job["uuid"])
    status, again = await post(api, as_admin, None, f"/{job['uuid']}/retry")
    assert (status, again["total"]) == (202, 2)


async def test_jobs_are_listed_newest_first_in_pages(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    tenant = new_tenant(database)
    jobs = [(await made(api, as_admin, inventory.source, names=["a"]))["uuid"] for _ in range(5)]
    theirs = (await made(api, tenant, inventory.source, names=["a"]))["uuid"]
    engine.start(jobs[0])
    seen: list[str] = []
    following = f"{OWN}?limit=2"
    while following:
        page = await (await api.get(following, headers=as_admin)).json()
        seen += [job["uuid"] for job in page["clone-jobs"]]
        following = page["next"]
    assert seen == [theirs, *reversed(jobs)]
    assert [j["uuid"] for j in (await got(api, tenant, ""))["clone-jobs"]] == [theirs]
    finished = await got(api, as_admin, "?state=Finished&outcome=Succeeded")
    assert [job["uuid"] for job in finished["clone-jobs"]] == [jobs[0]]
    assert (await got(api, as_admin, "?vmInstanceUuid=nobody"))["clone-jobs"] == []
    wrong = await api.get(f"{OWN}?state=Done", headers=as_admin)
    assert wrong.status == 400


async def test_a_job_that_did_not_change_is_not_sent_again(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, names=["a"])
    engine.start(job["uuid"])
    first = await api.get(f"{OWN}/{job['uuid']}", headers=as_admin)
    tagged = as_admin | {"If-None-Match": first.headers["ETag"]}
    again = await api.get(f"{OWN}/{job['uuid']}", headers=tagged)
    assert (again.status, await again.read()) == (304, b"")


async def test_waiting_for_the_end_answers_with_the_ended_job(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    async def run_it() -> None:
        while engine.scalar("SELECT count(*) FROM jobs") == 0:
            await asyncio.sleep(0.01)
        engine.start(engine.scalar("SELECT uuid FROM jobs"))

    body = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    (status, job), _ = await asyncio.gather(post(api, as_admin, body, Prefer="wait=20"), run_it())
    assert (status, job["state"], job["outcome"]) == (200, "Finished", "Succeeded")


async def test_what_a_job_made_is_destroyed_by_a_job_of_its_own(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, names=["a", "b"])
    path = f"{OWN}/{job['uuid']}/vms"
    early = await api.delete(path, headers=as_admin)
    assert (early.status, "wait for it" in (await early.json())["detail"]) == (409, True)
    engine.start(job["uuid"])
    answer = await api.delete(path, headers=as_admin)
    removal = await answer.json()
    assert (answer.status, removal["kind"], removal["total"]) == (202, "destroy", 2)
    assert answer.headers["Location"] == f"{OWN}/{removal['uuid']}"
    engine.start(removal["uuid"])
    ended = await got(api, as_admin, f"/{removal['uuid']}")
    assert (ended["state"], ended["outcome"], ended["succeeded"]) == ("Finished", "Succeeded", 2)
    items = (await got(api, as_admin, f"/{removal['uuid']}/items"))["items"]
    assert [item["name"] for item in items] == ["a", "b"]
    assert await (await api.get(f"/zstack/v1/api-jobs/{removal['uuid']}")).json() == {
        "success": True
    }
    again = await api.delete(path, headers=as_admin)
    assert again.status == 409
    expunged = await (await api.delete(f"{path}?expunge=true", headers=as_admin)).json()
    engine.start(expunged["uuid"])
    assert engine.scalar("SELECT count(*) FROM vm_instances WHERE origin = 'cloned'") == 0
    assert (await api.delete(f"{path}?expunge=yes", headers=as_admin)).status == 400
    retried, _ = await post(api, as_admin, None, f"/{removal['uuid']}/retry")
    assert retried == 409


async def test_another_account_destroys_nothing(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    tenant = new_tenant(database)
    job = await made(api, as_admin, inventory.source, names=["a"])
    engine.start(job["uuid"])
    answer = await api.delete(f"{OWN}/{job['uuid']}/vms", headers=tenant)
    assert answer.status == 404
    assert engine.scalar("SELECT count(*) FROM jobs") == 1
