"""Schema reporting_v1 is a promise to dashboards: its columns, its docs, and who reads what."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from migrations.reporting_v1 import access
from tests.engine import Engine
from tests.integration.reporting.conftest import DOCS, SECRET, statements

COLUMNS = Path(__file__).with_name("columns.txt")
_COLUMNS = (
    "SELECT c.relname AS view, a.attname AS name, format_type(a.atttypid, NULL) AS type, "
    "col_description(c.oid, a.attnum) AS comment FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE n.nspname = 'reporting_v1' AND a.attnum > 0 ORDER BY c.relname, a.attnum"
)


def test_no_column_changes_or_vanishes(filled: Engine) -> None:
    """A new one is added to the list; anything else makes reporting_v2."""
    there = [f"{c.view} {c.name} {c.type}" for c in filled.rows(_COLUMNS)]
    assert there == COLUMNS.read_text().splitlines()


def test_the_page_says_what_the_database_says(filled: Engine) -> None:
    short = {"character varying": "varchar", "double precision": "float8"}
    there = [
        (c.view, c.name, short.get(c.type, c.type.replace(" with time zone", "tz")), c.comment)
        for c in filled.rows(_COLUMNS)
    ]
    written = [
        (view, *row)
        for view, table in re.findall(r"### (\w+)\n(.*?)(?=\n### |\Z)", DOCS.read_text(), re.DOTALL)
        for row in re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", table, re.MULTILINE)
    ]
    assert sorted(written) == sorted(there)


def test_each_query_of_the_page_answers_the_dashboards_login(reader: psycopg.Connection) -> None:
    queries = statements("")
    assert len(queries) > 10
    for query in queries:
        rows = reader.execute(query.encode()).fetchall()
        assert rows or "00000000" in query, query


def test_the_login_reads_the_views_and_nothing_else(
    filled: Engine, reader: psycopg.Connection
) -> None:
    for table in filled.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(table.name)))
    for view in views(filled):
        reader.execute(sql.SQL("SELECT * FROM reporting_v1.{}").format(sql.Identifier(view)))


def test_the_login_writes_nothing_even_where_it_asks_to(
    filled: Engine, reader: psycopg.Connection
) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("CREATE TABLE mine (x int)")
    reader.execute("SET default_transaction_read_only = off")
    refusals = psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState
    for view in views(filled):
        with pytest.raises(refusals):
            reader.execute(sql.SQL("DELETE FROM reporting_v1.{}").format(sql.Identifier(view)))
    for schema in ("public", "reporting_v1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"CREATE TABLE {schema}.mine (x int)".encode())


def test_a_login_that_asks_too_much_is_cut_off(reader: psycopg.Connection) -> None:
    limits = "statement_timeout", "idle_in_transaction_session_timeout"
    assert [reader.execute(f"SHOW {name}".encode()).fetchone() for name in limits] == [("5s",)] * 2


def test_no_view_tells_a_secret(filled: Engine) -> None:
    for view in views(filled):
        rows = filled.rows(f"SELECT t::text AS shown FROM reporting_v1.{view} t")
        assert rows, view
        assert not [row.shown for row in rows if SECRET in row.shown], view


def test_a_database_user_without_the_right_to_make_roles_migrates_all_the_same(
    filled: Engine, filled_url: str
) -> None:
    """And the page says what an administrator then runs."""
    role, owner = "reporting_of_another", "poor_owner"
    with psycopg.connect(filled_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {owner} NOLOGIN".encode())
        try:
            admin.execute(f"SET ROLE {owner}".encode())
            admin.execute(access.GRANT.replace("vmclone_reporting", role).encode())
            admin.execute("RESET ROLE")
            assert not roles(filled, role)
            for statement in statements("role"):
                admin.execute(statement.replace("vmclone_reporting", role).encode())
            admin.execute(f"SET ROLE {role}".encode())
            admin.execute("SELECT * FROM reporting_v1.job")
            admin.execute("RESET ROLE")
        finally:
            for made in (role, owner):
                if roles(filled, made):
                    admin.execute(f"DROP OWNED BY {made}".encode())
                    admin.execute(f"DROP ROLE {made}".encode())


def test_the_role_itself_has_the_limits_and_cannot_log_in(filled: Engine) -> None:
    (role,) = roles(filled, "vmclone_reporting")
    assert not role.rolcanlogin
    assert set(role.rolconfig) == {
        "default_transaction_read_only=on",
        "statement_timeout=5s",
        "idle_in_transaction_session_timeout=5s",
    }


def test_a_job_shows_its_counts_as_they_are(filled: Engine) -> None:
    jobs = filled.rows(
        "SELECT state, outcome, names_total, names_waiting, names_granted, names_succeeded, "
        "names_failed, progress_ratio FROM reporting_v1.job ORDER BY submitted_at"
    )
    assert [tuple(job) for job in jobs] == [
        ("Finished", "Succeeded", 3, 0, 0, 3, 0, 1.0),
        ("Finished", "Failed", 1, 0, 0, 0, 1, 1.0),
        ("Running", None, 1, 0, 1, 0, 0, 0.0),
        ("Running", None, 2, 2, 0, 0, 0, 0.0),
    ]
    waiting = filled.rows("SELECT stage, names FROM reporting_v1.queue ORDER BY stage")
    assert [tuple(row) for row in waiting] == [("granted", 1), ("waiting", 2)]


def test_a_failure_shows_its_innermost_cause(filled: Engine) -> None:
    assert [
        tuple(row)
        for row in filled.rows(
            "SELECT error_code, root_error_code, error_description FROM reporting_v1.item "
            "WHERE state = 'Failed'"
        )
    ] == [("SYS.1006", "PS.1000", "An operation failed")]


def views(filled: Engine) -> list[str]:
    return [
        row.name
        for row in filled.rows(
            "SELECT viewname AS name FROM pg_views WHERE schemaname = 'reporting_v1'"
        )
    ]


def roles(filled: Engine, name: str) -> list[Any]:
    return filled.rows(
        "SELECT rolcanlogin, rolconfig FROM pg_roles WHERE rolname = :name", name=name
    )
