"""How far jobs and names are, and lists of them that stay the same while they are read."""

from typing import Any

from sqlalchemy import text

from app.domain.errors import OperationFailed
from app.domain.states import ItemState
from app.domain.steps import StepName
from app.queue import TaskName
from app.store import control, due, items, leases
from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory
from tests.integration.api.conftest import Api

JOBS = "/api/v1/clone-jobs"


async def made(api: Api, headers: dict[str, str], vm: str, **fields: Any) -> str:
    answer = await api.post(JOBS, json={"vmInstanceUuid": vm} | fields, headers=headers)
    return str((await answer.json())["uuid"])


async def got(api: Api, headers: dict[str, str], path: str) -> Any:
    return await (await api.get(path, headers=headers)).json()


async def half_ended(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> str:
    """A job that began an hour ago: ten of twenty names ended within the last seconds, each after
    a second of copying 50 bytes."""
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    job = await made(api, as_admin, inventory.source, names=[f"n{n}" for n in range(20)])
    engine.start(job)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET started_at = started_at - interval '1 hour'"))
        connection.execute(
            text(
                "WITH ended AS (UPDATE items SET state = 'Succeeded', bytes_done = 50, "
                " started_at = now() - interval '1 s', finished_at = now() "
                " WHERE ordinal < 10 RETURNING uuid, job_uuid), "
                "counted AS (UPDATE job_counters SET succeeded = 10, bytes_done = 500) "
                "INSERT INTO events (job_uuid, item_uuid, kind) "
                "SELECT job_uuid, uuid, 'item.succeeded' FROM ended"
            )
        )
    return job


async def test_the_rate_of_a_copy_is_what_its_heartbeats_saw(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    job = await made(api, as_admin, inventory.source, names=["a", "b"], mode="full")
    engine.start(job)
    (row, *_) = engine.rows("SELECT uuid, host_uuid FROM items ORDER BY ordinal")
    claim = leases.claim(database, row.uuid, row.host_uuid, owner="w", lease_s=15)
    assert claim is not None
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE items SET bytes_total = 1000"))
    whole = await got(api, as_admin, f"{JOBS}/{job}")
    assert (whole["rateBytesPerSecond"], whole["etaSeconds"], whole["etaBasis"]) == (None,) * 3
    for done in (100, 200, 400):
        # The beat before was a second ago.
        with database.engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE items SET lease_until = clock_timestamp() + interval '14 s' "
                    "WHERE uuid = :uuid"
                ),
                {"uuid": row.uuid},
            )
        assert leases.beat(database, claim, lease_s=15, bytes_done=done) is not None
    item, other = (await got(api, as_admin, f"{JOBS}/{job}/items"))["items"]
    assert 100 <= item["rateBytesPerSecond"] <= 135
    assert (other["rateBytesPerSecond"], item["bytesDone"], item["bytesTotal"]) == (None, 400, 1000)
    assert item["startedAt"] is not None
    assert item["finishedAt"] is None
    assert item["hostName"] == engine.scalar(
        "SELECT name FROM hosts WHERE uuid = :uuid", uuid=row.host_uuid
    )
    whole = await got(api, as_admin, f"{JOBS}/{job}")
    rate = whole["rateBytesPerSecond"]
    assert (rate, whole["bytesTotal"], whole["etaBasis"]) == (
        item["rateBytesPerSecond"],
        2000,
        "bytes",
    )
    assert whole["etaSeconds"] == round(1600 / rate, 1)


async def test_a_lapsed_lease_has_no_rate(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    job = await made(api, as_admin, inventory.source, names=["a"])
    engine.start(job)
    with engine.database.engine.begin() as connection:
        connection.execute(
            text("UPDATE items SET state = 'Running', bytes_per_s = 5, lease_until = now()")
        )
    (item,) = (await got(api, as_admin, f"{JOBS}/{job}/items"))["items"]
    assert item["rateBytesPerSecond"] is None


async def test_names_that_ended_lately_tell_the_pace(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    job = await half_ended(api, inventory, as_admin, engine, database)
    whole = await got(api, as_admin, f"{JOBS}/{job}")
    assert (whole["rateBytesPerSecond"], whole["etaBasis"], whole["etaSeconds"]) == (
        100,
        "names",
        5.0,
    )


async def test_names_that_fail_in_between_do_not_slow_the_pace(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    """More ends within the window than are looked at, every second of them a failure: 100 and 100
    a second, for the last five seconds."""
    job = await half_ended(api, inventory, as_admin, engine, database)
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO events (job_uuid, item_uuid, kind, at) "
                "SELECT job_uuid, uuid, CASE n % 2 WHEN 0 THEN 'item.failed' "
                " ELSE 'item.succeeded' END, clock_timestamp() - n * interval '5 ms' "
                "FROM generate_series(1000, 0, -1) n, "
                " (SELECT job_uuid, uuid FROM items WHERE ordinal = 0) one"
            )
        )
    whole = await got(api, as_admin, f"{JOBS}/{job}")
    assert whole["etaBasis"] == "names"
    assert 0.1 <= whole["etaSeconds"] < 0.18, "ten are left, and this took a moment"


async def test_a_paused_job_has_no_end_in_sight(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    job = await half_ended(api, inventory, as_admin, engine, database)

    async def told() -> list[float | None]:
        """By our own surface, by ZStack's and to dashboards."""
        whole = await got(api, as_admin, f"{JOBS}/{job}")
        polled = (await got(api, as_admin, f"/zstack/v1/api-jobs/{job}"))["progress"]
        reported = engine.scalar("SELECT eta_seconds FROM reporting_v1.job")
        return [whole["etaSeconds"], polled.get("etaSeconds"), reported]

    assert None not in await told()
    with database.engine.begin() as connection:
        control.pause_job(connection, job)
    assert await told() == [None] * 3
    with database.engine.begin() as connection:
        control.resume_job(connection, job)
    assert None not in await told()


async def test_pages_stay_what_they_are_while_jobs_are_added_and_go(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    jobs = [await made(api, as_admin, inventory.source, names=["a"]) for _ in range(4)]
    first = await got(api, as_admin, f"{JOBS}?limit=2")
    await made(api, as_admin, inventory.source, names=["later"])
    with engine.database.engine.begin() as connection:
        connection.execute(text("DELETE FROM jobs WHERE uuid = :uuid"), {"uuid": jobs[2]})
    second = await got(api, as_admin, first["next"])
    seen = [job["uuid"] for page in (first, second) for job in page["clone-jobs"]]
    assert seen == jobs[::-1]


async def test_jobs_are_found_by_when_they_were_accepted(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    old, new = [await made(api, as_admin, inventory.source, names=["a"]) for _ in range(2)]
    with engine.database.engine.begin() as connection:
        connection.execute(
            text("UPDATE jobs SET created_at = '2026-01-02T03:04:05Z' WHERE uuid = :old"),
            {"old": old},
        )
    for query, found in (
        ("createdBefore=2026-01-02T03:04:06Z", [old]),
        ("createdAfter=2026-01-02T03:04:05Z", [new]),
        ("createdAfter=2026-01-02T03:04:04Z&createdBefore=2026-01-02T04:04:05.5%2B01:00", [old]),
    ):
        page = await got(api, as_admin, f"{JOBS}?{query}")
        assert [job["uuid"] for job in page["clone-jobs"]] == found
    for query, detail in (
        ("createdAfter=yesterday", "[createdAfter]"),
        ("createdAfter=2026-01-02T03:04:05", "[createdAfter]"),
        ("cursor=x", "[cursor] must be one that a page's `next` gave"),
        ("stat=Running", "unknown query field[stat]"),
    ):
        answer = await api.get(f"{JOBS}?{query}", headers=as_admin)
        assert answer.status == 400
        assert detail in (await answer.json())["detail"]


async def test_a_page_of_names_that_did_not_change_is_not_sent_again(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, names=["a"])
    engine.start(job)
    path = f"{JOBS}/{job}/items"
    first = await api.get(path, headers=as_admin)
    tagged = as_admin | {"If-None-Match": first.headers["ETag"]}
    assert (await api.get(path, headers=tagged)).status == 304
    with engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE items SET identity = 'applied'"))
    assert (await api.get(path, headers=tagged)).status == 200


async def test_a_stranded_name_that_is_tried_again_is_counted_once(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    job = await made(api, as_admin, inventory.source, names=["a", "b"])
    engine.start(job)
    stranded, other = engine.rows("SELECT uuid, host_uuid FROM items ORDER BY ordinal")
    claim = leases.claim(database, stranded.uuid, stranded.host_uuid, owner="w", lease_s=15)
    assert claim is not None
    failed = ItemState.FAILED, OperationFailed("it did not start")
    items.begin_rollback(database, claim, StepName.START_VM, *failed)
    items.strand(database, claim, delay_s=0, failures=["libvirt is away"])
    with database.engine.begin() as connection:
        assert due.stranded_items(connection)
    assert engine.item_states(job) == ["RollingBack", "Granted"]
    counts = {"total": 2, "waiting": 0, "running": 1, "succeeded": 0, "failed": 1, "canceled": 0}
    whole = await got(api, as_admin, f"{JOBS}/{job}")
    polled = (await got(api, as_admin, f"/zstack/v1/api-jobs/{job}"))["progress"]
    assert {name: whole[name] for name in counts} == counts
    assert {name: polled[name] for name in counts} == counts
    with database.engine.begin() as connection:
        control.cancel_item(connection, other.uuid)
    engine.run((TaskName.FINISH, (job,), ""))
    whole = await got(api, as_admin, f"{JOBS}/{job}")
    assert (whole["state"], whole["running"], whole["waiting"]) == ("Finished", 0, 0)
    assert engine.item_states(job) == ["RollingBack", "Canceled"]
