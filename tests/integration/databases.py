"""Databases for tests. Making one costs PostgreSQL several hundred files and dropping one a
checkpoint, more than most tests take; emptying one is a hundredth of that. So those that are given
back empty are lent again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

LARGE_BYTES = 100 << 20  # what deleted rows leave behind would slow down those who come after

_PUT_OUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_BEGIN_AGAIN = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""
_SIZE = "SELECT pg_database_size(current_database())"


@dataclass
class Databases:
    """Of one server."""

    server: str  # its URL without a database
    template: str = ""
    _free: list[str] = field(default_factory=list)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """One without rows but for those that migrations make; may have been used before."""
        url = self._free.pop() if self._free else self.make(self.template)
        try:
            yield url
        finally:
            if self._empty(url):
                self._free.append(url)
            else:
                self.drop(url)

    @contextmanager
    def copied(self, template: str = "") -> Iterator[str]:
        """A new one, like the template or the server's own."""
        url = self.make(template)
        try:
            yield url
        finally:
            self.drop(url)

    def make(self, template: str = "", name: str = "") -> str:
        name = name or f"test_{uuid4().hex[:12]}"
        like = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        self._administration.execute(
            sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + like
        )
        return f"{self.server}/{name}"

    def drop(self, url: str) -> None:
        name = sql.Identifier(url.rpartition("/")[2])
        self._administration.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
        )

    def close(self) -> None:
        for url in self._free:
            self.drop(url)
        self._administration.close()

    def _empty(self, url: str) -> bool:
        """Whether it is as it was made, but for what its tables' statistics remember."""
        try:
            with psycopg.connect(url) as connection:
                connection.execute(_PUT_OUT)
                connection.execute("SET session_replication_role = replica")  # in any order
                for table in self._first_rows:
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
                for table, rows in self._first_rows.items():
                    _insert(connection, table, rows)
                connection.execute(_BEGIN_AGAIN)
                (size,) = connection.execute(_SIZE).fetchone() or (0,)
                return int(size) < LARGE_BYTES
        except psycopg.Error:  # a test let nobody in, or took away what is to be emptied
            return False

    @cached_property
    def _first_rows(self) -> dict[str, list[Any]]:
        """By table: what migrations put into it."""
        with psycopg.connect(f"{self.server}/{self.template}") as connection:
            tables = [name for (name,) in connection.execute(_TABLES)]
            return {
                table: connection.execute(
                    sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))
                ).fetchall()
                for table in tables
            }

    @cached_property
    def _administration(self) -> psycopg.Connection:
        return psycopg.connect(f"{self.server}/postgres", autocommit=True)


def _insert(connection: psycopg.Connection, table: str, rows: list[Any]) -> None:
    for row in rows:
        values = sql.SQL(", ").join(sql.Placeholder() * len(row))
        connection.execute(
            sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(table), values), row
        )
