"""docs/grafana can be imported as it is: each query answers, and each name in it is one that is."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import yaml

from app.domain.steps import StepName
from tests.integration.reporting.conftest import DOCS
from tests.integration.reporting.grafana import (
    ALERTS,
    DASHBOARDS,
    FOLDER,
    Query,
    Span,
    every_query,
    expand,
    panel_queries,
    panels,
    variable_queries,
    variables,
)

SOURCE = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
NOW = datetime.now(UTC)
SPAN = Span(NOW - timedelta(days=1), NOW + timedelta(days=1))
# Built in, so that every version of the plugin knows how to show it.
TIMES, WORDS = {"timestamptz"}, {"text", "varchar", "bool"}
NUMBERS = {"int2", "int4", "int8", "float8", "numeric"}
HOURLY = {"job_hourly", "item_hourly", "step_hourly", "step_hourly_bucket"}
# What the engine did not do when it filled the tables.
_MORE = (
    "UPDATE volumes SET method = 'full' WHERE origin = 'cloned'",
    "INSERT INTO limits (scope, resource_uuid, name, value) VALUES "
    "('primaryStorage', '', 'bytesPerSecond', 1000000), ('host', '', 'builds', 1)",
    "UPDATE items SET state = 'Stranded' WHERE name = 'e'",
    "INSERT INTO hourly_steps (hour, step, result, up_to_s, steps, duration_s) VALUES "
    "(date_trunc('hour', now()), 'define_vm', 'undone', 1, 1, 1)",
)


@pytest.fixture(scope="module", autouse=True)
def more(filled_url: str) -> None:
    with psycopg.connect(filled_url, autocommit=True) as owner:
        for statement in _MORE:
            owner.execute(statement.encode())


@pytest.fixture(scope="module")
def values(reader: psycopg.Connection) -> Mapping[str, Sequence[str]]:
    """Of each variable all that its query offers, the job whose names became VMs."""
    offered: dict[str, list[str]] = {"name": [""]}
    for query in variable_queries():
        cursor = reader.execute(expand(query.sql, SPAN, {}).encode())
        names = [column.name for column in cursor.description or ()]
        assert names == ["__text", "__value"], query.name
        offered[query.panel["name"]] = [value for _, value in cursor]
    offered["job"] = offered["job"][-1:]
    return offered


def columns(cursor: psycopg.Cursor) -> dict[str, str]:
    """Their types' names; "" for an enum, or what else is not built in."""
    types = psycopg.adapters.types
    found = [(c.name, types.get(c.type_code)) for c in cursor.description or ()]
    return {name: known.name if known else "" for name, known in found}


@pytest.mark.parametrize("query", every_query(), ids=lambda query: query.name)
def test_each_query_answers_the_dashboards_login(
    query: Query, reader: psycopg.Connection, values: Mapping[str, Sequence[str]]
) -> None:
    cursor = reader.execute(expand(query.sql, SPAN, values).encode())
    rows = cursor.fetchall()
    assert rows
    types = columns(cursor)
    assert set(types.values()) <= TIMES | WORDS | NUMBERS, types
    if query.is_series:
        assert_a_series(types, rows)


def assert_a_series(types: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    """A name for each of several series makes exactly three columns; time goes forward."""
    time, *others = types
    assert time == "time"
    assert types[time] in TIMES | NUMBERS
    if others[0] == "metric":
        assert types["metric"] in WORDS
        assert len(types) == 3
    numbers = [name for name in others if name != "metric"]
    assert {types[name] for name in numbers} <= NUMBERS
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_all_of_what_there_is_none_of_is_an_answer(reader: psycopg.Connection) -> None:
    """Grafana then writes nothing where the values would be."""
    several = [query.panel["name"] for query in variable_queries() if query.panel.get("multi")]
    for query in panel_queries():
        if any(f"${{{name}:" in query.sql for name in several):
            found = reader.execute(expand(query.sql, SPAN, dict.fromkeys(several, ())).encode())
            assert not found.fetchall(), query.name


def test_no_line_is_drawn_over_hours_without_rows() -> None:
    for query in panel_queries():
        if query.is_series and "$__timeGroup" in query.sql:
            custom = query.panel["fieldConfig"]["defaults"]["custom"]
            assert query.panel["interval"] == "1h"
            assert custom.get("drawStyle") == "bars" or custom["insertNulls"] == 3600000, query.name


def test_a_storage_is_written_at_no_pace_before_and_after_its_copies(
    reader: psycopg.Connection, values: Mapping[str, Sequence[str]]
) -> None:
    query, _ = storage_queries("Full copies onto each storage, and its limit")
    rows = reader.execute(expand(query.sql, SPAN, values).encode()).fetchall()
    paces = [pace for _, _, pace in rows]
    assert (paces[0], paces[-1]) == (0, 0)
    assert all(pace > 0 for pace in paces[1:-1])
    assert len(paces) >= 3


def test_the_time_of_a_step_is_counted_once_for_all_its_volumes(
    owner: psycopg.Connection, values: Mapping[str, Sequence[str]]
) -> None:
    (query,) = storage_queries("Copies, by storage and method")
    owner.execute("UPDATE volumes SET type = 'Data', actual_size = 1000 WHERE origin = 'cloned'")
    ((_, _, volumes, _, _, mean, _, pace),) = owner.execute(
        expand(query.sql, SPAN, values).encode()
    ).fetchall()
    ((steps, seconds),) = owner.execute(
        "SELECT count(*), sum(run_seconds) FROM reporting_v1.step "
        "WHERE step = 'copy_data_volumes' AND item_uuid IN "
        "(SELECT item_uuid FROM reporting_v1.volume_copy)"
    ).fetchall()
    assert volumes > steps
    assert float(mean) == pytest.approx(seconds / steps)
    assert float(pace) == pytest.approx(1000 * float(volumes) / seconds)


def storage_queries(title: str) -> list[Query]:
    return [query for query in panel_queries() if query.panel["title"] == title]


@pytest.mark.parametrize("query", every_query(), ids=lambda query: query.name)
def test_no_query_reads_anything_but_the_views(
    query: Query, owner: psycopg.Connection, values: Mapping[str, Sequence[str]]
) -> None:
    """Over months the hourly ones; what reads names or steps of a time range says so."""
    owner.execute(f"CREATE TEMP VIEW asked AS {expand(query.sql, SPAN, values)}".encode())
    read = owner.execute(
        "SELECT DISTINCT c.relnamespace::regnamespace::text, c.relname FROM pg_rewrite r "
        "JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid "
        "JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid "
        "WHERE r.ev_class = 'asked'::regclass AND c.oid <> r.ev_class"
    ).fetchall()
    assert {schema for schema, _ in read} == {"reporting_v1"}
    if "$__timeFilter(hour_at)" in query.sql:
        assert {view for _, view in read} <= HOURLY | {"limit"}
    elif re.search(r"\$__timeFilter\((s\.)?finished_at\)", query.sql):
        assert "some days at once rather than months" in query.panel["description"]


def test_what_panels_say_of_columns_is_of_one(
    reader: psycopg.Connection, values: Mapping[str, Sequence[str]]
) -> None:
    """Or of a series, or of a query."""
    more = {"Succeeded", "Failed", "Canceled", "A", "B"}
    for dashboard, panel in panels():
        sql = [expand(target["rawSql"], SPAN, values) for target in panel["targets"]]
        there = {name for query in sql for name in columns(reader.execute(query.encode()))}
        named = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
        named |= set(re.findall(r"\$\{__data\.fields\.(\w+)\}", json.dumps(panel)))
        assert named <= there | more, (dashboard, panel["title"])


def test_bytes_seconds_and_shares_have_their_units(
    reader: psycopg.Connection, values: Mapping[str, Sequence[str]]
) -> None:
    for query in panel_queries():
        for column in columns(reader.execute(expand(query.sql, SPAN, values).encode())):
            if column in UNITS:
                assert unit_of(query.panel, column) in UNITS[column], (query.name, column)


# By the word that a column is called by.
UNITS = {
    **dict.fromkeys(
        ("eta", "longest", "mean", "oldest", "p95", "ran", "seconds", "waited"), ("s",)
    ),
    **dict.fromkeys(("held", "progress", "share", "used"), ("percentunit",)),
    **dict.fromkeys(("allocated", "copied", "memory", "reserved", "virtual"), ("bytes",)),
    "bytes": ("bytes", "Bps"),
    "pace": ("Bps",),
}


def unit_of(panel: Mapping[str, Any], column: str) -> str | None:
    config = panel["fieldConfig"]
    for override in config["overrides"]:
        if override["matcher"]["options"] == column:
            for changed in override["properties"]:
                if changed["id"] == "unit":
                    return str(changed["value"])
    unit: str | None = config["defaults"].get("unit")
    return unit


def test_each_link_leads_to_a_dashboard_and_its_variables() -> None:
    linked = [
        (link, panel)
        for _, panel in panels()
        for link in re.findall(r'"url": "([^"]+)"', json.dumps(panel))
    ]
    assert len(linked) >= 5
    by_uid = {dashboard["uid"]: name for name, dashboard in DASHBOARDS.items()}
    for link, panel in linked:
        uid = link.removeprefix("/d/").partition("?")[0]
        assert set(re.findall(r"var-(\w+)=", link)) <= variables(by_uid[uid]).keys(), panel["title"]
        assert "${datasource:queryparam}" in link


def test_each_dashboard_and_panel_is_told_from_the_others() -> None:
    for of in ("uid", "title"):
        found = [dashboard[of] for dashboard in DASHBOARDS.values()]
        assert len(set(found)) == len(found)
    for dashboard in DASHBOARDS.values():
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)
        assert all(panel["title"] for panel in dashboard["panels"])
        assert "id" not in dashboard  # would be another dashboard's where it is imported


def test_panels_lie_beside_each_other() -> None:
    for name, dashboard in DASHBOARDS.items():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, (name, panel["title"])
            assert at["x"] + at["w"] <= 24
            taken |= cells


def test_the_data_source_is_asked_for_once_and_used_everywhere() -> None:
    (provisioned,) = yaml.safe_load((FOLDER / "datasource.yaml").read_text())["datasources"]
    for name in DASHBOARDS:
        chosen = variables(name)["datasource"]
        assert (chosen["type"], chosen["query"]) == ("datasource", provisioned["type"])
        assert chosen["current"] == {"text": provisioned["name"], "value": provisioned["uid"]}
    for query in [*panel_queries(), *variable_queries()]:
        assert query.panel["datasource"] == SOURCE, query.name
    asked = {(rule["data"][0]["datasourceUid"], rule["data"][0]["refId"]) for rule in ALERTS}
    assert asked == {(provisioned["uid"], "A")}


def test_the_files_are_as_written_by_hand() -> None:
    """Sorted, without what an export adds."""
    for name, dashboard in DASHBOARDS.items():
        text = (FOLDER / f"{name}.json").read_text()
        assert json.dumps(dashboard) == json.dumps(dashboard, sort_keys=True), name
        assert not re.search(r'"(pluginVersion|iteration|version|__inputs|__requires)"', text), name


def test_the_time_line_has_a_colour_for_each_step() -> None:
    (line,) = [panel for _, panel in panels() if panel["type"] == "state-timeline"]
    (mapping,) = line["fieldConfig"]["defaults"]["mappings"]
    assert set(mapping["options"]) == set(StepName)


def test_the_time_line_shows_where_each_step_begins_and_ends(
    reader: psycopg.Connection, values: Mapping[str, Sequence[str]]
) -> None:
    (query,) = [q for q in panel_queries() if q.panel["type"] == "state-timeline"]
    rows = reader.execute(expand(query.sql, SPAN, values).encode()).fetchall()
    assert list(dict.fromkeys(name for _, name, _ in rows)) == ["a", "b", "c"]
    for name in "abc":
        moves = [(time, step) for time, of, step in rows if of == name]
        assert [time for time, _ in moves] == sorted(time for time, _ in moves)
        steps = [step for _, step in moves if step]
        assert steps == [step for step in StepName if step in steps]
        assert moves[-1][1] is None
        assert len(moves) == 2 * len(steps)


def test_the_page_has_a_line_for_each_file() -> None:
    named = set(re.findall(r"\(grafana/([\w.]+)\)", DOCS.read_text()))
    assert named == {path.name for path in FOLDER.iterdir()}
