"""docs/grafana/alerts.yaml and prometheus.yaml: each rule can be asked, and speaks of its fault."""

import re

import psycopg
import pytest
import yaml

from tests.integration.reporting.conftest import DOCS
from tests.integration.reporting.grafana import ALERTS, DASHBOARDS, FOLDER, Query, alert_queries

QUIET = "UPDATE hosts SET seen_at = now() + interval '1 hour'"
FAULTS = {
    "oldest-wait": "UPDATE jobs SET created_at = now() - interval '2 hours'",
    "failure-share": "UPDATE hourly_items SET items = 30 WHERE outcome = 'Failed'",
    "lapsed-leases": "UPDATE items SET lapses = 4 WHERE finished_at IS NOT NULL",
    "stranded": "UPDATE items SET state = 'Stranded' WHERE name = 'e'",
    "late-jobs": "UPDATE jobs SET deadline_at = now() - interval '1 hour'",
    "hosts-away": "UPDATE hosts SET seen_at = now() - interval '1 hour'",
    "storages-faulty": "UPDATE primary_storages SET fault = 'gone', fault_since = now()",
    "storage-full": "UPDATE storage_capacities SET available_bytes = 0",
}

# Alike, but none of it an alert's fault.
SILENT = {
    "failure-share": "DELETE FROM hourly_items WHERE outcome <> 'Succeeded'; "
    "UPDATE hourly_items SET items = 30",
    "late-jobs": "UPDATE jobs SET deadline_at = now() - interval '1 hour', paused_at = now()",
}


def test_each_alert_has_its_fault_here() -> None:
    assert [rule["uid"] for rule in ALERTS] == [f"vmclone-{name}" for name in FAULTS]


@pytest.mark.parametrize(
    ("query", "fault"), [*zip(alert_queries(), FAULTS.values(), strict=True)], ids=FAULTS
)
def test_an_alert_speaks_when_it_should_and_is_silent_before(
    query: Query, fault: str, owner: psycopg.Connection
) -> None:
    owner.execute(QUIET)
    assert told(owner, query) <= limit_of(query)
    owner.execute(fault.encode())
    assert told(owner, query) > limit_of(query)


@pytest.mark.parametrize("name", SILENT)
def test_an_alert_is_silent_where_its_fault_is_not(name: str, owner: psycopg.Connection) -> None:
    (query,) = [query for query in alert_queries() if query.name == f"vmclone-{name}"]
    owner.execute(SILENT[name].encode())
    assert told(owner, query) <= limit_of(query)


def limit_of(query: Query) -> float:
    (limit,) = query.panel["data"][2]["model"]["conditions"][0]["evaluator"]["params"]
    return float(limit)


def told(connection: psycopg.Connection, query: Query) -> float:
    """A number also where there is nothing: no rows would be another alert."""
    ((_, value),) = connection.execute(query.sql.encode()).fetchall()
    return float(value)


def test_alerts_show_a_panel_and_take_no_variable() -> None:
    shown = {(d["uid"], panel["id"]) for d in DASHBOARDS.values() for panel in d["panels"]}
    for rule in ALERTS:
        assert (rule["dashboardUid"], rule["panelId"]) in shown, rule["uid"]
        assert [data["refId"] for data in rule["data"]] == ["A", "B", "C"]
    assert "$" not in (FOLDER / "alerts.yaml").read_text()


def test_prometheus_is_asked_for_metrics_and_labels_that_there_are() -> None:
    page = (DOCS.parent / "operations.md").read_text()
    there = dict(re.findall(r"^\| `(vmclone_\w+)` \| \w+ \| (.*?) \|", page, re.MULTILINE))
    (group,) = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["groups"]
    for rule in group["rules"]:
        for metric, _, labels in re.findall(r"(vmclone_\w+)(\{(.*?)\})?", rule["expr"]):
            assert metric in there, rule["alert"]
            for label in re.findall(r"(\w+)=", labels):
                assert f"`{label}`" in there[metric], rule["alert"]
