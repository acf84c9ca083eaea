"""Each resource: its rows are there, its members' kinds are those of their columns, and it is seen
by whom it should."""

import pytest
from sqlalchemy import text

from app.domain.query import Kind, Record
from app.store import shares
from app.store.accounts import Caller
from app.store.queries import read
from app.store.queries.sources import SOURCES
from app.store.session import Database
from app.zstack.conditions import parse_query
from app.zstack.inventories import shape_of
from app.zstack.resources import BY_NAME, QUERIES
from app.zstack.resources.resource import kind_of
from tests.factories import ADMIN, Inventory, new_uuid
from tests.integration.queries.conftest import Ask

_KINDS = {
    Kind.INTEGER: {"bigint", "integer", "smallint"},
    Kind.BOOLEAN: {"boolean"},
    Kind.MOMENT: {"timestamp with time zone"},
    Kind.LIST: {"text[]", "character varying[]"},
}
NAMES = [resource.name for resource in QUERIES.values()]
# What another account than the owner sees.
INFRASTRUCTURE = {"Zone", "Cluster", "Host", "PrimaryStorage"}
SHARED = {"L3Network", "IpRange", "Image", "InstanceOffering", "DiskOffering", "SharedResource"}


def test_members_are_compared_as_their_columns_are_stored(database: Database) -> None:
    for resource in BY_NAME.values():
        types = types_of(database, SOURCES[resource.source].rows)
        assert resource.columns <= types.keys()
        for member, column in resource.fields.items():
            stored = next(
                (kind for kind, names in _KINDS.items() if types[column] in names), Kind.TEXT
            )
            assert kind_of(member) is stored, f"{resource.name}.{member}"


def types_of(database: Database, rows: str) -> dict[str, str]:
    with database.single() as connection:
        connection.execute(text(f"CREATE TEMP VIEW seen AS SELECT * FROM {rows} t"))
        columns = connection.execute(
            text(
                "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute "
                "WHERE attrelid = 'seen'::regclass"
            )
        ).all()
        connection.execute(text("DROP VIEW seen"))
    return {column.attname: column.type for column in columns}


def open_session(database: Database, account: str) -> str:
    uuid = new_uuid()
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sessions (uuid, account_uuid, user_uuid, expires_at) "
                "VALUES (:uuid, :account, :account, clock_timestamp() + interval '1 hour')"
            ),
            {"uuid": uuid, "account": account},
        )
    return uuid


def uuids(records: list[Record]) -> set[str]:
    return {record.values["uuid"] for record in records}


def test_an_admin_sees_every_resource(ask: Ask, database: Database) -> None:
    open_session(database, ADMIN)
    for name in NAMES:
        records = ask(name)
        assert records, name
        uuid = records[0].values["uuid"]
        assert uuids(ask(name, f"q=uuid={uuid}")) == {uuid}


def test_a_tenant_sees_itself_and_what_is_shared(ask: Ask, tenant: str, database: Database) -> None:
    open_session(database, ADMIN)
    for name in NAMES:
        if name in INFRASTRUCTURE | SHARED:
            expected = uuids(ask(name))
        else:
            expected = {tenant} if name == "Account" else set()
        assert uuids(ask(name, account=tenant)) == expected, name


def test_a_tenant_sees_what_is_its_own(ask: Ask, tenant: str, database: Database) -> None:
    mine = open_session(database, tenant)
    with database.engine.begin() as connection:
        for table in ("vm_instances", "volumes", "users", "access_keys", "quotas", "long_jobs"):
            connection.execute(text(f"UPDATE {table} SET account_uuid = :me"), {"me": tenant})
    for name in set(NAMES) - {"Account", "Session"}:
        assert uuids(ask(name, account=tenant)) == uuids(ask(name)) != set(), name
    assert uuids(ask("Session", account=tenant)) == {mine}


def test_a_tenant_sees_a_shared_vm_with_what_is_its(
    ask: Ask, tenant: str, made: Inventory, database: Database
) -> None:
    of_vms = ("VmInstance", "VmNic", "VmCdRom", "Volume")
    with database.engine.begin() as connection:
        source = shares.find(connection, [made.source])
        shares.share(connection, source, accounts=[tenant], to_public=False)
    for name in of_vms:
        assert uuids(ask(name, account=tenant)) == uuids(ask(name)) != set(), name
    with database.engine.begin() as connection:
        everything = [made.source, made.l3_network, "1" * 32, "2" * 32, "4" * 32]
        found = shares.find(connection, everything)
        shares.revoke(connection, found, accounts=[], to_public=False, everything=True)
    for name in (*of_vms, *SHARED):
        assert not ask(name, account=tenant), name


def test_an_admin_sees_no_session_of_others(ask: Ask, tenant: str, database: Database) -> None:
    mine = open_session(database, ADMIN)
    open_session(database, tenant)
    assert [session.values["uuid"] for session in ask("Session")] == [mine]


@pytest.mark.parametrize("admin", [True, False])
def test_a_user_sees_no_session_of_its_account_which_may_do_more(
    made: Inventory, database: Database, tenant: str, admin: bool
) -> None:
    account = ADMIN if admin else tenant
    accounts = open_session(database, account)
    users = open_session(database, account)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE sessions SET user_uuid = 'ann' WHERE uuid = %s", (users,)
        )
    for user, seen in (("ann", [users]), ("bob", []), (account, [accounts, users])):
        caller = Caller(account, admin, user)
        resource = QUERIES["QuerySession"]
        with database.single() as connection:
            answer = read.run(connection, parse_query(resource, []), shape_of(resource), caller)
        assert sorted(s.values["uuid"] for s in answer.records) == sorted(seen)


def test_a_condition_looks_at_nothing_that_its_caller_does_not_see(ask: Ask, tenant: str) -> None:
    """A shared network says nothing of other accounts' VMs on it."""
    conditions = ["q=vmNic.vmInstance.name=golden", "q=zone.vmInstance.name=golden"]
    for condition in conditions:
        assert ask("L3Network", condition)
        assert not ask("L3Network", condition, account=tenant)


def test_what_is_free_is_what_grants_reckon_with(
    ask: Ask, made: Inventory, database: Database
) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            text("UPDATE host_capacities SET available_cpu = 10, available_memory = 100")
        )
        connection.execute(text("UPDATE hosts SET foreign_cpu = 4, foreign_memory = 200"))
        connection.execute(text("UPDATE storage_capacities SET available_bytes = 7"))
        connection.execute(text("UPDATE primary_storages SET fault = 'gone'"))
    host = ask("Host")[0].values
    assert (host["available_cpu"], host["available_memory"]) == (6, 0)
    storage = ask("PrimaryStorage", f"q=attachedClusterUuids={made.cluster}")[0].values
    assert (storage["available_bytes"], storage["status"]) == (7, "Disconnected")
    assert storage["attached_cluster_uuids"] == [made.cluster]


@pytest.mark.parametrize(
    ("name", "table"), [("Host", "hosts"), ("PrimaryStorage", "primary_storages")]
)
def test_what_no_worker_speaks_of_is_disconnected(
    ask: Ask, database: Database, name: str, table: str
) -> None:
    for seen, status in (
        ("NULL", "Connecting"),
        ("clock_timestamp()", "Connected"),
        ("clock_timestamp() - interval '1 minute'", "Disconnected"),
    ):
        with database.engine.begin() as connection:
            connection.execute(text(f"UPDATE {table} SET seen_at = {seen}"))
        assert len(ask(name, f"q=status={status}")) == 1, status


def test_a_nic_shows_its_first_address(ask: Ask, made: Inventory, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO used_ips (uuid, l3_network_uuid, vm_nic_uuid, ip, ip_version, "
                "ip_in_long) SELECT :uuid, l3_network_uuid, uuid, 'fd00::9', 6, 0 FROM vm_nics"
            ),
            {"uuid": new_uuid()},
        )
    (nic,) = ask("VmNic")
    assert nic.values["ip"] == "10.0.0.9"
    assert [used.values["ip"] for used in nic.lists["usedIps"]] == ["10.0.0.9", "fd00::9"]
    assert ask("VmNic", "q=usedIp.ip=fd00::9")
    assert not ask("VmNic", "q=ip=fd00::9")
