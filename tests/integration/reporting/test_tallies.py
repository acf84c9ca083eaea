"""Every end is counted once, by the hour and in all, and stays counted."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.store import due, tallies
from app.store.control import cancel_item, cancel_job
from tests.engine import Engine
from tests.factories import make_job

SUMS = {
    "hourly_jobs": "SELECT COALESCE(sum(jobs), 0)::int FROM hourly_jobs",
    "jobs": "SELECT COALESCE(sum(value), 0)::int FROM totals WHERE name = 'jobs'",
    "hourly_items": "SELECT COALESCE(sum(items), 0)::int FROM hourly_items",
    "items": "SELECT COALESCE(sum(value), 0)::int FROM totals WHERE name = 'items'",
    "hourly_steps": "SELECT COALESCE(sum(steps), 0)::int FROM hourly_steps",
    "steps": "SELECT COALESCE(sum(value), 0)::int FROM totals WHERE name = 'steps'",
}


def sums(engine: Engine) -> dict[str, Any]:
    return {name: engine.scalar(query) for name, query in SUMS.items()}


def count(engine: Engine) -> None:
    while engine.database.run(tallies.count_ended):
        pass


@pytest.fixture
def source(engine: Engine) -> str:
    return str(engine.scalar("SELECT uuid FROM vm_instances WHERE name = 'golden'"))


def test_each_end_is_counted_once(engine: Engine) -> None:
    steps = engine.scalar(
        "SELECT count(*) FROM steps s JOIN items i ON i.uuid = s.item_uuid "
        "WHERE i.finished_at IS NOT NULL"
    )
    counted = sums(engine)
    assert counted == {
        "hourly_jobs": 2,
        "jobs": 2,
        "hourly_items": 4,
        "items": 4,
        "hourly_steps": steps,
        "steps": steps,
    }
    count(engine)
    assert sums(engine) == counted


def test_small_batches_come_to_the_same(
    engine: Engine, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "BATCH", 1)
    with engine.database.engine.begin() as connection:
        job = make_job(connection, source, ("x", "y", "z"))
    engine.start(job)
    count(engine)
    ended = engine.scalar("SELECT count(*) FROM items WHERE finished_at IS NOT NULL")
    assert ended > 6
    assert sums(engine)["items"] == sums(engine)["hourly_items"] == ended


def test_two_counters_at_once_count_nothing_twice(engine: Engine) -> None:
    with engine.database.engine.begin() as first:
        first.execute(text("UPDATE tally_cursors SET xid = 0, event_id = 0"))
        assert engine.database.run(tallies.count_ended) is False
    assert sums(engine)["items"] == 4


def test_a_transaction_that_is_slower_than_later_ones_is_not_passed_over(
    engine: Engine,
) -> None:
    job, item = engine.rows("SELECT job_uuid, uuid FROM items WHERE name = 'e'")[0]
    event = text("INSERT INTO events (job_uuid, item_uuid, kind) VALUES (:job, :item, :kind)")
    with engine.database.engine.begin() as slow:
        slow.execute(event, {"job": job, "item": item, "kind": "item.succeeded"})
        with engine.database.engine.begin() as quick:
            quick.execute(event, {"job": job, "item": None, "kind": "job.noticed"})
        count(engine)
    assert sums(engine)["items"] == 4
    count(engine)
    assert sums(engine)["items"] == 5


@pytest.mark.parametrize("ends", ["names", "job"])
def test_names_that_never_began_are_counted(engine: Engine, ends: str) -> None:
    """Those that wait and those that are granted, cancelled one by one or with their job."""
    open_items = engine.rows(
        "SELECT uuid, job_uuid FROM items WHERE state IN ('Waiting', 'Granted')"
    )
    act: Callable[..., Any] = cancel_item if ends == "names" else cancel_job
    for uuid in {row.uuid if ends == "names" else row.job_uuid for row in open_items}:
        with engine.database.engine.begin() as connection:
            act(connection, uuid)
    engine.sweep()
    assert len(open_items) == 3
    assert engine.scalar("SELECT sum(items)::int FROM hourly_items WHERE outcome = 'Canceled'") == 3
    assert engine.scalar("SELECT count(*) FROM items WHERE finished_at IS NULL") == 0


def test_what_was_counted_outlives_the_jobs(engine: Engine) -> None:
    before = sums(engine)
    settings = engine.worker.settings
    engine.pass_time(settings.job_retention_s + 60)
    for _ in range(3):
        engine.database.run(
            lambda c: due.expired_jobs(c, retention_s=settings.job_retention_s, refused_s=60)
        )
    assert engine.scalar("SELECT count(*) FROM jobs WHERE state = 'Finished'") == 0
    count(engine)
    assert sums(engine) == before


def test_a_job_is_not_deleted_before_it_was_counted(engine: Engine) -> None:
    with engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE tally_cursors SET xid = 0, event_id = 0"))
    engine.pass_time(3600)
    engine.database.run(lambda c: due.expired_jobs(c, retention_s=60, refused_s=60))
    assert engine.scalar("SELECT count(*) FROM jobs WHERE state = 'Finished'") == 2


def test_hours_of_more_than_thirteen_months_ago_are_forgotten(engine: Engine) -> None:
    with engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE hourly_items SET hour = hour - interval '401 days'"))
        tallies.forget_old_hours(connection)
    assert sums(engine)["hourly_items"] == 0
    assert sums(engine)["items"] == 4


def test_a_step_is_counted_in_the_bucket_of_its_duration(engine: Engine) -> None:
    for seconds, up_to in [
        (0.0, 0.001),
        (0.001, 0.001),  # its bound belongs to a bucket
        (0.0011, 0.002),
        (3.0, 5.0),
        (9999.0, float("inf")),
    ]:
        with engine.database.engine.begin() as connection:
            connection.execute(text("DELETE FROM hourly_steps"))
            connection.execute(text("UPDATE tally_cursors SET xid = 0, event_id = 0"))
            connection.execute(
                text("UPDATE steps SET started_at = finished_at - make_interval(secs => :s)"),
                {"s": seconds},
            )
        count(engine)
        assert engine.rows("SELECT DISTINCT up_to_s FROM hourly_steps") == [(up_to,)]


def test_percentiles_lie_within_their_bucket(engine: Engine) -> None:
    """90 of up to 1 s and 10 of up to 10 s in one hour."""
    with engine.database.engine.begin() as connection:
        connection.execute(text("DELETE FROM hourly_steps"))
        connection.execute(
            text(
                "INSERT INTO hourly_steps (hour, step, result, up_to_s, steps, duration_s) VALUES "
                "(now(), 'define_vm', 'succeeded', 1, 90, 60), "
                "(now(), 'define_vm', 'succeeded', 10, 10, 70)"
            )
        )
    (row,) = engine.rows("SELECT steps, p50_seconds, p95_seconds FROM reporting_v1.step_hourly")
    assert row.steps == 100
    assert row.p50_seconds == pytest.approx(0.5 + 0.5 * 50 / 90)
    assert row.p95_seconds == pytest.approx(5 + 5 * 0.5)
