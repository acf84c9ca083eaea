"""`/metrics`: what it tells, whom it tells, and that docs/operations.md says the same."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text

from app.api.main import create_app
from app.domain.errors import PrimaryStorageFull
from app.settings import Settings
from app.store import figures, tallies
from app.store.session import Database
from app.supervisor import Child
from tests.engine import Engine
from tests.factories import Inventory
from tests.integration.api.conftest import Api, submit
from tests.integration.queries.test_plans import nodes
from workers.metrics import registry_of

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(page: str) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def of(values: Values, name: str, **labels: str) -> float | None:
    return values.get((name, frozenset(labels.items())))


async def scrape(api: Api, query: str = "") -> Values:
    answer = await api.get(f"/metrics{query}")
    assert answer.status == 200, await answer.text()
    return samples(await answer.text())


async def test_what_ended_and_what_is_open_is_told(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    fine = await submit(api, inventory.source, as_admin, names=["a", "b"])
    engine.start(fine)
    engine.worker.fake_storage.before = fail_clones  # type: ignore[union-attr]
    engine.start(await submit(api, inventory.source, as_admin, names=["c"]))
    await submit(api, inventory.source, as_admin, names=["d", "e", "f"])
    engine.database.run(tallies.count_ended)
    told = await scrape(api)
    assert of(told, "vmclone_jobs_total", kind="clone", result="succeeded") == 1
    assert of(told, "vmclone_jobs_total", kind="clone", result="failed") == 1
    assert of(told, "vmclone_items_total", kind="clone", result="failed", method="") == 1
    assert of(told, "vmclone_item_errors_total", code="PS.1000", step="copy_root_volume") == 1
    assert of(told, "vmclone_open_jobs", state="accepted") == 1
    assert of(told, "vmclone_queue_depth", kind="names_waiting") == 3
    assert of(told, "vmclone_queue_depth", kind="jobs_accepted") == 1
    assert of(told, "vmclone_slots_limit", scope="host") == 64
    assert of(told, "vmclone_database_up") == 1
    define = {"step": "define_vm", "result": "succeeded"}
    assert of(told, "vmclone_step_duration_seconds_count", **define) == 2
    assert of(told, "vmclone_step_duration_seconds_bucket", le="+Inf", **define) == 2


def fail_clones(call: str) -> None:
    if call == "clone":
        raise PrimaryStorageFull


async def test_requests_are_told_by_template_and_never_by_path(
    api: Api, inventory: Inventory, as_admin: dict[str, str]
) -> None:
    job = await submit(api, inventory.source, as_admin, names=["a"])
    await api.get(f"/zstack/v1/api-jobs/{job}")
    await api.get(f"/zstack//v1//api-jobs/{job}")
    await api.get("/no/such/path")
    page = await (await api.get("/metrics?collect[]=process")).text()
    told = samples(page)
    count = "vmclone_http_request_duration_seconds_count"
    assert of(told, count, route="/zstack/v1/api-jobs/{uuid}", code="202") == 2
    assert of(told, count, route="none", code="404") == 1
    assert job not in page
    assert inventory.source not in page
    assert "/no/such" not in page


async def test_no_label_names_a_job_a_vm_or_an_account(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    engine.start(await submit(api, inventory.source, as_admin, names=["a"]))
    engine.database.run(tallies.count_ended)
    page = await (await api.get("/metrics")).text()
    assert not re.search(r"[0-9a-f]{32}", page)
    labels = {label for _, pairs in samples(page) for label, _ in pairs}
    bounded = "kind result method code step state status scope route le version"
    assert labels <= set(bounded.split())


async def test_without_the_database_it_tells_that(
    settings: Settings,
    aiohttp_client: Callable[..., Awaitable[Api]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(figures, "load", away)
    api = await aiohttp_client(create_app(settings))
    told = await scrape(api)
    assert of(told, "vmclone_database_up") == 0
    assert "vmclone_build_info" in {name for name, _ in told}
    assert of(told, "vmclone_open_jobs", state="accepted") is None


async def test_one_part_alone_may_be_asked_for(api: Api) -> None:
    """So that several API processes tell the database's figures once."""
    assert not {n for n, _ in await scrape(api, "?collect[]=database")} & {"vmclone_build_info"}
    assert not {n for n, _ in await scrape(api, "?collect[]=process")} & {"vmclone_database_up"}
    assert (await api.get("/metrics?collect[]=everything")).status == 400


async def test_a_token_closes_it_and_off_removes_it(
    settings: Settings, aiohttp_client: Callable[..., Awaitable[Api]]
) -> None:
    closed = settings.model_copy(update={"metrics_token": SecretStr("open sesame")})
    api = await aiohttp_client(create_app(closed))
    assert (await api.get("/metrics")).status == 401
    wrong = {"Authorization": "Bearer open says me"}
    assert (await api.get("/metrics", headers=wrong)).status == 401
    right = {"Authorization": "Bearer open sesame"}
    assert (await api.get("/metrics", headers=right)).status == 200
    api = await aiohttp_client(create_app(settings.model_copy(update={"metrics": "off"})))
    assert (await api.get("/metrics")).status == 404


async def test_openmetrics_is_spoken_where_it_is_asked_for(api: Api) -> None:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    answer = await api.get("/metrics", headers=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert (await answer.text()).endswith("# EOF\n")


class Agent:
    children = (Child("hosts-1@here", ["true"]), Child("webhooks", ["true"]))
    served = frozenset({"1"})
    away: frozenset[str] = frozenset()
    processes = 4


async def test_the_page_lists_every_metric_and_no_other(api: Api) -> None:
    pages = [
        await (await api.get("/metrics")).text(),
        generate_latest(registry_of(Agent())).decode(),
    ]
    told = {
        name
        for page in pages
        for name in re.findall(r"^# TYPE (vmclone_\w+) ", page, re.MULTILINE)
        if not name.endswith("_created")
    }
    assert set(re.findall(r"^\| `(vmclone_\w+)", DOCS.read_text(), re.MULTILINE)) == told


def test_a_lapsed_lease_is_counted_once(
    engine: Engine, inventory: Inventory, database: Database
) -> None:
    from app.store import due
    from tests.factories import make_job

    with database.engine.begin() as connection:
        job = make_job(connection, inventory.source, ("a",))
    engine.start(job)
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE items SET state = 'Running', owner = 'dead', published_at = NULL, "
                "lease_until = clock_timestamp() - interval '20 seconds'"
            )
        )
    for _ in range(2):
        assert database.run(lambda c: due.lapsed_items(c, steal=True))
        with database.engine.begin() as connection:
            connection.execute(
                text("UPDATE items SET published_at = published_at - interval '10 seconds'")
            )
    total = "SELECT value FROM totals WHERE name = 'lease_expired'"
    assert engine.scalar(total) == 1


def test_a_scrape_reads_no_table_of_names_whole(database: Database, inventory: Inventory) -> None:
    """Ten thousand names wait, of which a few are under way."""
    with database.engine.begin() as connection:
        for statement in MANY:
            values = {"source": inventory.source} if ":source" in statement else {}
            connection.execute(text(statement), values)
    with database.single() as connection:
        connection.execute(text("VACUUM (ANALYZE) items"))
        connection.execute(text("ANALYZE jobs"))
    queries = [figures._QUEUES, figures._SLOTS, *figures._COUNTS.values()]
    with database.single() as connection:
        for query in queries:
            bound = query.replace(":host", "64").replace(":storage", "16")
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {bound}").scalar_one()
            whole = {
                node["Relation Name"]
                for node in nodes(plan[0]["Plan"])
                if node["Node Type"] == "Seq Scan"
            }
            assert "items" not in whole, query
        found = figures.load(connection, host_slots=64, storage_full_copies=16)
    assert found.queues["names_waiting"].depth == 9_980
    assert found.counts["open_items"] == {"Running": 20}


MANY = (
    "INSERT INTO jobs (uuid, state, account_uuid, vm_instance_uuid, requested, priority, "
    "api_timeout_ms, wants_schema, started_at) SELECT repeat('a', 32), 'Running', uuid, :source, "
    "10000, 5, 0, FALSE, clock_timestamp() FROM accounts LIMIT 1",
    "INSERT INTO job_counters (job_uuid, total, succeeded, failed, canceled, bytes_done) "
    "SELECT uuid, 10000, 0, 0, 0, 0 FROM jobs",
    "INSERT INTO items (uuid, job_uuid, ordinal, name, state, vm_uuid, volume_uuids, nic_uuids, "
    "attempts, lapses, fence, bytes_done) SELECT md5(n::text), repeat('a', 32), n, 'vm-' || n, "
    "CASE WHEN n <= 20 THEN 'Running' ELSE 'Waiting' END::item_state, md5('v' || n), '{}', '{}', "
    "0, 0, 0, 0 FROM generate_series(1, 10000) n",
)
