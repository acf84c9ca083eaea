"""Queries over HTTP: every path, reply shapes, and whatever a caller may send."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from app.api.main import create_app
from app.domain.query import Kind, Operator
from app.settings import Settings
from app.store.accounts import Caller
from app.store.queries import read
from app.store.queries.sources import SOURCES
from app.store.session import LIMITS_MS, OWN_PLANS, Database, open_pool
from app.zstack.conditions import parse_query
from app.zstack.forms import BadRequest
from app.zstack.inventories import shape_of
from app.zstack.resources import QUERIES
from app.zstack.resources.resource import kind_of
from tests.factories import ADMIN, Inventory, make_account
from tests.integration.api.conftest import Api, open_session
from tests.integration.databases import Databases
from tests.integration.queries.conftest import fill


@pytest.fixture
def inventory(database: Database) -> Inventory:
    """Instead of the plain one: every resource has a row."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")
        return fill(connection)


def value_at(body: Any, path: str) -> Any:
    for name in re.findall(r"[^.\[\]]+", path):
        body = body[int(name)] if isinstance(body, list) else body[name]
    return body


async def test_every_resource_is_served_with_its_schema(api: Api, as_admin: dict[str, str]) -> None:
    for resource in QUERIES.values():
        url = f"/zstack/v1{resource.path}"
        answer = await api.get(f"{url}?replyWithCount=true", headers=as_admin)
        assert answer.status == 200, await answer.text()
        body = await answer.json()
        assert body["total"] == len(body["inventories"]) > 0, url
        schema = body["schema"]
        assert next(iter(schema)) == "inventories[0]"
        for number, path in enumerate(schema):
            assert value_at(body, path) is not None
            parent = path.rpartition(".")[0]
            assert not parent or parent in list(schema)[:number]
        assert None not in body["inventories"][0].values()
        uuid = body["inventories"][0]["uuid"]
        one = await (await api.get(f"{url}/{uuid}", headers=as_admin)).json()
        assert one["inventories"] == [i for i in body["inventories"] if i["uuid"] == uuid]
        none = await (await api.get(f"{url}/{'0' * 32}", headers=as_admin)).json()
        assert none == {"inventories": [], "schema": {}}
        count = await (await api.get(f"{url}?count=true", headers=as_admin)).json()
        assert count == {"total": body["total"], "schema": {}}
        assert (await api.get(url)).status == 400
        assert (await api.get(f"{url}?q=nope=1", headers=as_admin)).status == 400


async def test_accounts_see_no_others_vms(
    api: Api, as_admin: dict[str, str], database: Database
) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
    headers = open_session(database, tenant)
    for path, seen in (("/vm-instances", 0), ("/vm-instances/nics", 0), ("/hosts", 1)):
        answer = await (await api.get(f"/v1{path}?replyWithCount=true", headers=headers)).json()
        assert answer["total"] == len(answer["inventories"]) == seen, path


@pytest.fixture(scope="module")
def rows(databases: Databases) -> Iterator[Connection]:
    """One connection for all examples; what they are is read alone."""
    with databases.copied(databases.template) as url:
        engine = create_engine(
            url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            fill(connection)
            yield connection
        engine.dispose()


_MEMBERS = sorted({member for r in QUERIES.values() for member in r.fields} | {"__userTag__"})
_PATHS = st.lists(
    st.sampled_from(sorted({name for r in QUERIES.values() for name in r.relations})), max_size=3
)
_CONDITION = st.builds(
    lambda path, member, operator, value: (
        "q",
        ".".join([*path, member]) + operator + value,
    ),
    _PATHS,
    st.sampled_from(_MEMBERS),
    st.sampled_from([*Operator]),
    st.text()
    | st.sampled_from(["1", "true", "2017-11-14", "a,b", "\\", "%\\", "'; --", "$1", ":x"]),
)
_REST = st.tuples(
    st.sampled_from(
        ["limit", "start", "sort", "fields", "groupBy", "count", "replyWithCount", "q"]
    ),
    st.sampled_from([*_MEMBERS, "-name", "1", "true", str(2**63 - 1)]) | st.text(),
)


@given_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(QUERIES)),
    st.lists(_CONDITION | _REST, max_size=5),
    st.booleans(),
)
def test_any_query_is_answered_or_refused(
    rows: Connection, api_name: str, pairs: list[tuple[str, str]], admin: bool
) -> None:
    """No error of the database: what is parsed can be asked."""
    resource = QUERIES[api_name]
    try:
        query = parse_query(resource, pairs)
    except BadRequest:
        return
    shape = shape_of(resource, query.fields)
    answer = read.run(rows, query, shape, Caller(ADMIN, admin, ADMIN))
    assert len(answer.records) <= query.limit


# Of each kind, in ways that differ in how a value becomes a parameter.
_ASKED = {
    Kind.TEXT: ("~=%", "!?=a:b,c", ">="),
    Kind.INTEGER: (">=0", "!?=7,8", "~=%"),
    Kind.BOOLEAN: ("!=true", "?=true,false", "~=%"),
    Kind.MOMENT: (">2020-01-01", "!?=2020-01-01,2021-01-01 10:11:12", "~=%:%"),
    Kind.LIST: ("!=x", "!?=x,y", "!~=x%"),
}


async def test_the_api_and_the_workers_find_the_same(
    inventory: Inventory, database: Database, database_url: str
) -> None:
    """The former past SQLAlchemy, with numbers for the names of parameters."""
    pool = await open_pool(database_url, settings=OWN_PLANS)
    found = 0
    for resource in QUERIES.values():
        for asked in (None, 0, 1, 2):
            pairs = [
                ("q", f"{member}{_ASKED[kind_of(member)][asked]}")
                for member in resource.fields
                if asked is not None
            ]
            query = parse_query(resource, [*pairs, ("replyWithCount", "true")])
            shape = shape_of(resource)
            for caller in (Caller(ADMIN, True, ADMIN), Caller(ADMIN, False, "ann")):
                answer = await read.run_at_once(pool, query, shape, caller)
                with database.single() as connection:
                    assert answer == read.run(connection, query, shape, caller)
                found += len(answer.records)
    await pool.close()
    assert found > 2 * len(QUERIES)


def test_the_rows_are_still_there(rows: Connection) -> None:
    assert rows.scalar(text("SELECT count(*) FROM vm_instances")) == 1


async def test_a_query_that_takes_too_long_is_a_timeout_and_no_error_of_ours(
    settings: Settings,
    as_admin: dict[str, str],
    aiohttp_client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LIMITS_MS, "statement_timeout", 300)
    slow = replace(SOURCES["zones"], rows="(SELECT z.* FROM zones z, pg_sleep(30))")
    monkeypatch.setitem(SOURCES, "zones", slow)
    api: Api = await aiohttp_client(create_app(settings))
    answer = await api.get("/v1/zones?count=true", headers=as_admin)
    assert answer.status == 503
    error = (await answer.json())["error"]
    assert (error["code"], error["details"][:9]) == ("SYS.1001", "QueryZone")


HOSTILE = [
    "q=name%00=1",
    "q=name=%00",
    "q=name=%FF",
    "q=%FF=1",
    "q=name=%ED%A0%80",
    "q=name=';DROP TABLE vm_instances;--",
    "q=name~=%25%5C",
    "q=uuid?=" + "," * 500,
    "q=" + "vmNics.vmInstance." * 20 + "name=x",
    "&".join(["q=name=x"] * 150),
    "limit=99999999999999999999",
    "start=9223372036854775807",
    "sort=--name;--",
    "fields=,,,",
    "groupBy=name,uuid",
    "q=createDate>9999-12-31 23:59:59",
    "q=createDate<0001-01-01",
    "q=cpuNum=1_0",
    "q=cpuNum=%D9%A1",
    "q[]=name=x",
    "q",
    "=",
    "%",
    "q=%",
]


async def test_hostile_query_strings_are_no_error_of_ours(
    api: Api, as_admin: dict[str, str]
) -> None:
    for query in HOSTILE:
        for path in ("vm-instances", "hosts", f"vm-instances/{'%FF' * 3}", "vm-instances/%2e%2e"):
            answer = await api.get(f"/zstack/v1/{path}?{query}", headers=as_admin)
            body = await answer.text()
            assert answer.status in {200, 400, 404}, (query, body)
            assert "Traceback" not in body
