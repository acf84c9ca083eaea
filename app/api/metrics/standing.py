"""The database's figures as Prometheus' metrics.

Counters are totals that the database keeps, so they survive every process and every deleted job.
All API processes tell the same: a query takes `max`, not `sum`, over instances, or scrapes one.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from app.domain.buckets import STEP_BUCKETS_S
from app.store.figures import Figures

# name in `totals`, metric, labels, help
_COUNTERS = (
    ("jobs", "vmclone_jobs", ("kind", "result"), "Jobs that finished."),
    ("items", "vmclone_items", ("kind", "result", "method"), "Names that ended."),
    ("item_errors", "vmclone_item_errors", ("code", "step"), "Names that ended with an error."),
    ("item_retries", "vmclone_item_retries", (), "Further attempts of names that ended."),
    ("copied_bytes", "vmclone_copy_bytes", ("method",), "Written for names that ended."),
    ("lease_expired", "vmclone_lease_expired", (), "Leases that ran out: a worker died or hung."),
    (
        "webhook_deliveries",
        "vmclone_webhook_deliveries",
        ("result",),
        "Calls of webhooks: delivered, failed (tried again) or given_up.",
    ),
)
_COUNTS = (
    ("open_jobs", "vmclone_open_jobs", "state", "Jobs that have not finished."),
    ("open_items", "vmclone_open_items", "state", "Names on a host that have not ended."),
    ("hosts", "vmclone_hosts", "status", "Hosts: connected, disconnected or disabled."),
    ("storages", "vmclone_storages", "status", "Primary storages: usable, faulty or disabled."),
    ("storage_bytes", "vmclone_storage_bytes", "kind", "Room on storages, reserved or available."),
)
_EMPTY: Mapping[tuple[str, ...], float] = {}


class Standing(Collector):
    """Of one scrape. Without figures, because the database does not answer, it says so alone."""

    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("vmclone_database_up", "Whether the database answered.")
        up.add_metric((), float(self._figures is not None))
        yield up
        if self._figures is not None:
            yield from _counters(self._figures)
            yield _steps(self._figures)
            yield from _gauges(self._figures)


def _counters(figures: Figures) -> Iterator[Metric]:
    for total, name, labels, documentation in _COUNTERS:
        family = CounterMetricFamily(name, documentation, labels=labels)
        values = figures.totals.get(total, _EMPTY)
        for of, value in values.items() if labels else [((), values.get((), 0.0))]:
            family.add_metric([snake(label) for label in of], value)
        yield family


def _steps(figures: Figures) -> Metric:
    family = HistogramMetricFamily(
        "vmclone_step_duration_seconds",
        "Steps of names that ended: succeeded, or undone later.",
        labels=("step", "result"),
    )
    counted: dict[tuple[str, ...], dict[float, float]] = {}
    for (step, result, bound), value in figures.totals.get("steps", _EMPTY).items():
        counted.setdefault((step, result), {})[float(bound)] = value
    for labels, by_bound in counted.items():
        seconds = figures.totals.get("step_seconds", _EMPTY).get(labels, 0.0)
        family.add_metric(labels, _cumulated(by_bound), seconds)
    return family


def _cumulated(by_bound: Mapping[float, float]) -> list[tuple[str, float]]:
    bounds = sorted({*STEP_BUCKETS_S, *by_bound, math.inf})
    return [
        (
            "+Inf" if bound == math.inf else str(bound),
            sum(value for up_to, value in by_bound.items() if up_to <= bound),
        )
        for bound in bounds
    ]


def _gauges(figures: Figures) -> Iterator[Metric]:
    for count, name, label, documentation in _COUNTS:
        counts = figures.counts[count]
        yield _gauge(name, documentation, [label], ((snake(k), v) for k, v in counts.items()))
    queues, slots = figures.queues.items(), figures.slots.items()
    yield _gauge(
        "vmclone_queue_depth",
        "What waits, by what it is.",
        ["kind"],
        ((kind, queue.depth) for kind, queue in queues),
    )
    yield _gauge(
        "vmclone_queue_oldest_age_seconds",
        "How long the oldest of them has waited.",
        ["kind"],
        ((kind, queue.oldest_age_s) for kind, queue in queues),
    )
    yield _gauge(
        "vmclone_slots_in_use",
        "Names under way on all hosts, full copies on all storages.",
        ["scope"],
        ((snake(scope), slot.in_use) for scope, slot in slots),
    )
    yield _gauge(
        "vmclone_slots_limit",
        "How many there may be.",
        ["scope"],
        ((snake(scope), slot.limit) for scope, slot in slots),
    )
    age_s = figures.sweeper_pass_age_s
    yield _gauge(
        "vmclone_sweeper_pass_age_seconds",
        "Since a control worker last looked for due work.",
        [],
        [] if age_s is None else [("", age_s)],
    )


def _gauge(
    name: str, documentation: str, labels: Sequence[str], values: Iterable[tuple[str, float]]
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for label, value in values:
        family.add_metric([label] if labels else [], value)
    return family


def snake(word: str) -> str:
    """PartiallySucceeded -> partially_succeeded; error codes stay as they are."""
    if "." in word:
        return word
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()
