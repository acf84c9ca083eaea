"""A page of many VMs by an indexed field reads no table from end to end."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from app.domain.query import Query
from app.store.accounts import Caller
from app.store.queries import read
from app.store.session import Database
from app.zstack.conditions import parse_query
from app.zstack.inventories import shape_of
from app.zstack.resources import QUERIES
from tests.factories import ADMIN
from tests.integration.queries.conftest import fill
from tests.integration.queries.many import add_vms

VMS = 20_000
BIG = {"vm_instances", "vm_nics", "used_ips", "volumes", "tags"}


@pytest.fixture
def many(database: Database) -> Iterator[Connection]:
    with database.engine.begin() as connection:
        made = fill(connection)
        add_vms(connection, made, VMS)
    with database.single() as connection:
        connection.execute(text("ANALYZE"))
        yield connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def scanned(connection: Connection, resource: str, query: Query, caller: Caller) -> set[str]:
    """The tables that the query's statements read from end to end."""
    found: set[str] = set()

    @event.listens_for(connection, "before_cursor_execute")
    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        (row,) = cursor.fetchall()
        found.update(
            node["Relation Name"]
            for node in nodes(row[0][0]["Plan"])
            if node["Node Type"] == "Seq Scan"
        )

    entry = QUERIES[resource]
    read.run(connection, query, shape_of(entry, query.fields), caller)
    event.remove(connection, "before_cursor_execute", explain)
    return found


PAGES = [
    ("QueryVmInstance", "limit=50"),
    ("QueryVmInstance", "limit=50&start=100&sort=-createDate"),
    ("QueryVmInstance", "limit=50&sort=name"),
    ("QueryVmInstance", "q=name=vm-777&replyWithCount=true"),
    ("QueryVmInstance", "q=name?=vm-7,vm-8,vm-9"),
    ("QueryVmInstance", "limit=50&q=name~=vm-77%"),
    ("QueryVmInstance", "q=uuid=00000000000000000000000000000777"),
    ("QueryVmInstance", "q=vmNics.ip=10.100.3.9&replyWithCount=true"),
    ("QueryVmInstance", "q=vmNics.mac=fa:01:00:00:03:09"),
    ("QueryVmInstance", "q=__userTag__=tag-777"),
    ("QueryVmInstance", "limit=50&q=createDate>2020-01-01"),
    ("QueryVmNic", "limit=50"),
    ("QueryVmNic", "q=ip=10.100.3.9"),
    ("QueryVmNic", "q=vmInstance.name=vm-777"),
    ("QueryVolume", "limit=50"),
    ("QueryVolume", "q=vmInstance.name=vm-777"),
]


def test_pages_begin_at_an_index(many: Connection) -> None:
    for tenant in (False, True):
        caller = Caller(ADMIN, is_admin=not tenant)
        for resource, page in PAGES:
            pairs = [
                (name, value) for name, _, value in (p.partition("=") for p in page.split("&"))
            ]
            query = parse_query(QUERIES[resource], pairs)
            tables = scanned(many, resource, query, caller)
            assert not tables & BIG, f"{resource} {page} as {caller}"


def test_what_no_index_knows_is_scanned(many: Connection) -> None:
    """So that the test above can fail."""
    query = parse_query(QUERIES["QueryVmInstance"], [("q", "description=x")])
    assert scanned(many, "QueryVmInstance", query, Caller(ADMIN, is_admin=True)) == {"vm_instances"}
