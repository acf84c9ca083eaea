"""An inventory in which each resource has a row, and who asks for it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from app.domain.query import Record
from app.store import account_edits, quotas, shares
from app.store.accounts import Caller
from app.store.models import AccessKey, DiskOffering, Image, InstanceOffering, Tag, TagKind
from app.store.queries import read
from app.store.session import Database
from app.zstack.conditions import parse_query
from app.zstack.inventories import shape_of
from app.zstack.resources import QUERIES
from tests.factories import ADMIN, GIB, Inventory, make_account, make_inventory, new_uuid

Ask = Callable[..., list[Any]]


def fill(connection: Connection) -> Inventory:
    """Beside the source: an image, offerings, tags, a long job, what admin has, and what it
    shares with all."""
    made = make_inventory(connection)
    connection.execute(
        insert(Image), {"uuid": "1" * 32, "name": "debian", "size": 2 * GIB, "platform": "Linux"}
    )
    connection.execute(
        insert(InstanceOffering),
        {"uuid": "2" * 32, "name": "small", "cpu_num": 1, "memory_size": GIB},
    )
    connection.execute(insert(DiskOffering), {"uuid": "4" * 32, "name": "disk", "disk_size": GIB})
    connection.execute(
        text("UPDATE vm_instances SET image_uuid = :image, instance_offering_uuid = :offering"),
        {"image": "1" * 32, "offering": "2" * 32},
    )
    connection.execute(text('UPDATE l3_networks SET dns = \'["10.0.0.1", "10.0.0.2"]\''))
    connection.execute(
        insert(Tag),
        [
            {
                "uuid": new_uuid(),
                "resource_uuid": made.source,
                "resource_type": "VmInstanceVO",
                "kind": kind,
                "tag": tag,
            }
            for kind, tag in (
                (TagKind.USER, "web"),
                (TagKind.USER, "blue"),
                (TagKind.SYSTEM, "hostname::golden"),
            )
        ],
    )
    account_edits.create_user(connection, ADMIN, name="ann", password_hash="-")
    connection.execute(
        insert(AccessKey),
        {
            "uuid": new_uuid(),
            "access_key_id": "key",
            "account_uuid": ADMIN,
            "user_uuid": ADMIN,
            "salt": "-",
            "key_file": "-",
        },
    )
    quotas.put(connection, ADMIN, "vm.num", 7)
    public = shares.find(connection, [made.l3_network, "1" * 32, "2" * 32, "4" * 32])
    shares.share(connection, public, accounts=[], to_public=True)
    connection.execute(
        text(
            "INSERT INTO long_jobs (uuid, name, job_name, job_data, account_uuid) VALUES "
            "(repeat('3', 32), 'long', 'APICloneVmInstanceMsg', '{}', :admin)"
        ),
        {"admin": ADMIN},
    )
    return made


@pytest.fixture
def made(database: Database) -> Inventory:
    with database.engine.begin() as connection:
        return fill(connection)


@pytest.fixture
def tenant(made: Inventory, database: Database) -> str:
    with database.engine.begin() as connection:
        return make_account(connection)


@pytest.fixture
def ask(made: Inventory, database: Database) -> Iterator[Ask]:
    """ask("VmInstance", "q=name=golden", …): the records that admin, or `account`, gets."""
    with database.single() as connection:

        def records(resource: str, *pairs: str, account: str | None = None) -> list[Record]:
            entry = QUERIES[f"Query{resource}"]
            split = [pair.partition("=") for pair in pairs]
            query = parse_query(entry, [(name, value) for name, _, value in split])
            caller = Caller(account or ADMIN, account is None, account or ADMIN)
            return read.run(connection, query, shape_of(entry, query.fields), caller).records

        yield records
