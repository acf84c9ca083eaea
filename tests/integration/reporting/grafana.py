"""docs/grafana: its queries, as Grafana's PostgreSQL plugin sends them to the database."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from tests.integration.reporting.conftest import DOCS

FOLDER = DOCS.parent / "grafana"
DASHBOARDS: Mapping[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
ALERTS: Sequence[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][
    0
]["rules"]


@dataclass(frozen=True, slots=True)
class Query:
    """`panel` is the panel, or the variable, that asks it."""

    name: str
    sql: str
    panel: Mapping[str, Any]
    is_series: bool


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, dashboard in DASHBOARDS.items():
        yield from ((name, panel) for panel in dashboard["panels"])


def variables(dashboard: str) -> dict[str, dict[str, Any]]:
    return {v["name"]: v for v in DASHBOARDS[dashboard]["templating"]["list"]}


def panel_queries() -> Iterator[Query]:
    for dashboard, panel in panels():
        for target in panel["targets"]:
            name = f"{dashboard}: {panel['title']}, {target['refId']}"
            yield Query(name, target["rawSql"], panel, target["format"] == "time_series")


def variable_queries() -> Iterator[Query]:
    for dashboard in DASHBOARDS:
        for name, variable in variables(dashboard).items():
            if variable["type"] == "query":
                yield Query(f"{dashboard}: ${name}", variable["query"], variable, False)


def alert_queries() -> Iterator[Query]:
    for rule in ALERTS:
        model = rule["data"][0]["model"]
        yield Query(rule["uid"], model["rawSql"], rule, model["format"] == "time_series")


def every_query() -> list[Query]:
    return [*panel_queries(), *variable_queries(), *alert_queries()]


@dataclass(frozen=True, slots=True)
class Span:
    start: datetime
    end: datetime
    interval_s: int = 3600


def expand(sql: str, span: Span, values: Mapping[str, Sequence[str]]) -> str:
    """What is not known here, Grafana might take for something else: it raises."""
    sql = re.sub(r"\$\{(\w+):sqlstring\}", lambda m: _quoted(values[m[1]]), sql)
    sql = sql.replace("$__interval_ms", str(1000 * span.interval_s))
    sql = sql.replace("$__interval", f"{span.interval_s}s")
    sql = re.sub(r"\$(\w+)\(([^)]*)\)", lambda m: _macro(m, span), sql)
    if "$" in sql:
        raise ValueError(sql)
    return sql


def _quoted(values: Sequence[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def _macro(match: re.Match[str], span: Span) -> str:
    if match[1] == "__timeGroup" and match.string[match.end() :].startswith(","):
        raise ValueError("Grafana would add AS time to it")
    arguments = [argument.strip() for argument in match[2].split(",")]
    return _MACROS[match[1]](span, *arguments)


def _group(_: Span, column: str, interval: str) -> str:
    seconds = int(interval.removesuffix("s"))
    return f"floor(extract(epoch from {column})/{seconds})*{seconds}"


_MACROS: Mapping[str, Callable[..., str]] = {
    "__timeFilter": lambda span, column: (
        f"{column} BETWEEN '{span.start.isoformat()}' AND '{span.end.isoformat()}'"
    ),
    "__timeFrom": lambda span, _: f"'{span.start.isoformat()}'",
    "__timeTo": lambda span, _: f"'{span.end.isoformat()}'",
    "__timeGroup": _group,
}
