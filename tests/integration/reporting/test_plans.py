"""Panels over what is open, over one job and over a span of time read no big table whole."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from app.store.session import Database
from tests.factories import make_inventory
from tests.integration.databases import Databases
from tests.integration.queries.test_plans import nodes
from tests.integration.reporting.conftest import statements
from tests.integration.reporting.grafana import Span, every_query, expand

JOBS, NAMES = 400, 300  # over as long as jobs are kept; the last one runs
BIG = {"items", "steps", "volumes"}
_FILL = (
    "INSERT INTO jobs (uuid, state, outcome, account_uuid, vm_instance_uuid, requested, priority, "
    " api_timeout_ms, wants_schema, created_at, started_at, finished_at, request) "
    "SELECT lpad(n::text, 32, '0'), 'Finished', 'Succeeded', :account, :source, :names, 5, 0, "
    " FALSE, at, at, at + interval '1 minute', '{}' FROM generate_series(1, :jobs) n, "
    " LATERAL (SELECT clock_timestamp() - make_interval(hours => 2 * (:jobs + 1 - n)) AS at) t",
    "INSERT INTO items (uuid, job_uuid, ordinal, name, state, vm_uuid, volume_uuids, nic_uuids, "
    " attempts, lapses, fence, bytes_done, started_at, finished_at) "
    "SELECT md5(j.uuid || n), j.uuid, n, 'vm-' || n, 'Succeeded', md5('v' || j.uuid || n), '{}', "
    " '{}', 1, 0, 1, 0, j.started_at, j.finished_at FROM jobs j, generate_series(1, :names) n "
    "ORDER BY j.uuid",
    "INSERT INTO steps (item_uuid, name, attempt, worker, started_at, finished_at) "
    "SELECT i.uuid, 'copy_root_volume', 1, 'w', i.started_at, i.finished_at FROM items i "
    "ORDER BY i.finished_at",
    "INSERT INTO volumes (uuid, name, account_uuid, vm_instance_uuid, primary_storage_uuid, type, "
    " format, size, device_id, state, status, is_shareable, origin, method, created_at) "
    "SELECT md5('r' || i.uuid), i.name, :account, i.vm_uuid, :storage, 'Root', 'qcow2', 1, 0, "
    " 'Enabled', 'Ready', FALSE, 'cloned', 'full', i.started_at FROM items i ORDER BY i.started_at",
    "INSERT INTO job_counters (job_uuid, total, succeeded, failed, canceled, bytes_done) "
    "SELECT uuid, :names, :names, 0, 0, 0 FROM jobs",
    "UPDATE jobs SET state = 'Running', outcome = NULL, finished_at = NULL "
    "WHERE uuid = lpad(:jobs::text, 32, '0')",
    "UPDATE items SET state = 'Running', finished_at = NULL "
    "WHERE job_uuid = lpad(:jobs::text, 32, '0') AND ordinal <= 20",
    "UPDATE job_counters SET succeeded = :names - 20 WHERE job_uuid = lpad(:jobs::text, 32, '0')",
)


@pytest.fixture(scope="module")
def many(databases: Databases) -> Iterator[Connection]:
    """120,000 names."""
    with databases.copied(databases.template) as url:
        database = Database(url)
        with database.engine.begin() as connection:
            made = make_inventory(connection)
            values = {"source": made.source, "storage": made.storage, "jobs": JOBS, "names": NAMES}
            values["account"] = connection.scalar(text("SELECT uuid FROM accounts"))
            # Foreign keys are not checked: that takes longer than all the rest.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in _FILL:
                query = text(statement.replace(":jobs::text", "CAST(:jobs AS text)"))
                connection.execute(query, {k: v for k, v in values.items() if f":{k}" in statement})
        with database.single() as connection:
            for table in ("jobs", *BIG):
                connection.execute(text(f"VACUUM (ANALYZE) {table}"))
            yield connection
        database.close()


def scanned(connection: Connection, query: str) -> set[str]:
    """The tables that it reads from end to end."""
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {query}").scalar_one()[0]["Plan"]
    return {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}


PANELS = [query for query in statements("") if "reporting_v1" in query]
SPANS = [
    "SELECT count(*) FROM reporting_v1.step WHERE finished_at > now() - interval '4 hours'",
    "SELECT count(*) FROM reporting_v1.item WHERE state = 'Running'",
    "SELECT * FROM reporting_v1.job WHERE submitted_at > now() - interval '4 hours'",
]


def test_panels_begin_at_an_index(many: Connection) -> None:
    for query in [*PANELS, *SPANS]:
        assert not scanned(many, query) & BIG, query


def test_shipped_dashboards_begin_at_an_index(many: Connection) -> None:
    now = datetime.now(UTC)
    span = Span(now - timedelta(hours=4), now)
    absent = ["0" * 32]
    values = {"job": [f"{JOBS:032}"], "name": [""], "account": absent, "storage": absent}
    for query in every_query():
        assert not scanned(many, expand(query.sql, span, values)) & BIG, query.name


def test_what_no_index_knows_is_scanned(many: Connection) -> None:
    """So that the test above can fail."""
    query = "SELECT count(*) FROM reporting_v1.item WHERE vm_name = 'vm-7'"
    assert "items" in scanned(many, query)
