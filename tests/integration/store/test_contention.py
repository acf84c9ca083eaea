"""What the store does where two transactions want the same rows."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.store import base_sets
from app.store.session import Database
from tests.factories import make_inventory
from tests.integration.databases import Databases

DEADLINE_S = 20
_RENAME = "UPDATE zones SET description = 'x' WHERE name = %(name)s RETURNING name"


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    """A new one: its deadlocks are counted."""
    with databases.copied(databases.template) as url:
        yield from _with_two_rows(Database(url))


def _with_two_rows(made: Database) -> Iterator[Database]:
    with made.engine.begin() as connection:
        for name in ("a", "b"):
            connection.execute(
                text(
                    "INSERT INTO zones (uuid, name, state, created_at, last_op_at) "
                    "VALUES (:name, :name, 'Enabled', now(), now())"
                ),
                {"name": name},
            )
    yield made
    made.close()


def test_a_hot_statement_that_a_deadlock_ended_is_sent_again(database: Database) -> None:
    """It locks `a` then `b`, the other one `b` then `a`; who waits longest loses."""
    other_has_b = threading.Event()

    def other(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL deadlock_timeout = '1min'")
        connection.exec_driver_sql(_RENAME, {"name": "b"})
        other_has_b.set()
        _wait_for_somebody_who_waits(database)
        connection.exec_driver_sql(_RENAME, {"name": "a"})

    both = (
        "WITH a AS MATERIALIZED (UPDATE zones SET description = 'y' WHERE name = %(a)s "
        "RETURNING uuid) UPDATE zones SET description = 'y' FROM a WHERE zones.name = %(b)s "
        "RETURNING name"
    )
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(database.run, other)
        assert other_has_b.wait(DEADLINE_S)
        assert [row.name for row in database.hot(both, {"a": "a", "b": "b"})] == ["b"]
        ended.result(DEADLINE_S)
    assert _deadlocks(database) >= 1  # it may meet the other one again


def test_a_transaction_that_stood_still_for_too_long_runs_again(database: Database) -> None:
    tries: list[int] = []

    def stands_still_once(connection: Connection) -> int:
        connection.exec_driver_sql(_RENAME, {"name": "a"})
        tries.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(tries) == 1:
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 1")
            _wait_for(database, f"NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {tries[0]})")
        return connection.exec_driver_sql(_RENAME, {"name": "b"}).rowcount

    assert database.run(stands_still_once) == 1
    assert len(set(tries)) == 2


def test_a_transaction_whose_connection_is_lost_runs_again(database: Database) -> None:
    tries: list[int] = []

    def loses_the_first(connection: Connection) -> int:
        tries.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(tries) == 1:
            _end(database, tries[0])
        return connection.exec_driver_sql(_RENAME, {"name": "b"}).rowcount

    assert database.run(loses_the_first) == 1
    assert len(set(tries)) == 2


def test_whether_a_lost_commit_took_place_is_left_to_the_caller(database: Database) -> None:
    tries: list[int] = []

    def loses_its_commit(connection: Connection) -> None:
        connection.exec_driver_sql(_RENAME, {"name": "b"})
        tries.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        _end(database, tries[-1])

    with pytest.raises(OperationalError):
        database.run(loses_its_commit)
    assert len(tries) == 1


def _end(database: Database, pid: int) -> None:
    with database.single() as connection:
        assert connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 10000)").scalar()


def _wait_for_somebody_who_waits(database: Database) -> None:
    _wait_for(
        database,
        "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database())",
    )


def _wait_for(database: Database, condition: str) -> None:
    with database.single() as connection:
        for _ in range(DEADLINE_S * 100):
            if connection.scalar(text(f"SELECT {condition}")):
                return
            connection.exec_driver_sql("SELECT pg_sleep(0.01)")
    raise AssertionError(f"not within {DEADLINE_S} s: {condition}")


def _deadlocks(database: Database) -> int:
    """Statistics are sent by each session when it is idle, at the latest when asked to."""
    with database.single() as connection:
        for _ in range(DEADLINE_S * 10):
            number = connection.scalar(
                text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            )
            if number:
                return int(number)
            connection.exec_driver_sql("SELECT pg_sleep(0.1)")
    return 0


def test_a_set_that_a_grant_builds_on_is_not_removed_under_it(database: Database) -> None:
    with database.engine.begin() as connection:
        made = make_inventory(connection)
        connection.execute(
            text(
                "INSERT INTO base_sets (uuid, vm_instance_uuid, host_uuid, with_data_volumes, "
                "state, fence, attempts, lapses, last_used_at) VALUES ('s', :vm, :host, TRUE, "
                "'Ready', 1, 0, 0, now() - interval '1 day')"
            ),
            {"vm": made.source, "host": made.hosts[0]},
        )

    def state() -> str:
        with database.single() as connection:
            return str(connection.scalar(text("SELECT state::text FROM base_sets")))

    with database.engine.begin() as grant:
        assert base_sets.hold(grant, "s")
        database.run(lambda c: base_sets.mark_unused(c, grace_s=60))
        assert state() == "Ready"
        with database.engine.connect() as hand_over, pytest.raises(OperationalError):
            hand_over.exec_driver_sql("SELECT 1 FROM base_sets FOR UPDATE NOWAIT")
    database.run(lambda c: base_sets.mark_unused(c, grace_s=60))
    assert state() == "Deleting"
    with database.engine.begin() as grant:
        assert not base_sets.hold(grant, "s")
