"""Small questions about the inventory that judging a request asks."""

from typing import Any

from sqlalchemy import Connection
from sqlmodel import col

from app.domain import addressing
from app.domain.addressing import AddressRange
from app.store import shares
from app.store.accounts import ADMIN_UUID
from app.store.models import (
    Account,
    AccountType,
    Cluster,
    DiskOffering,
    Host,
    Image,
    IpRange,
    L3Network,
    PrimaryStorage,
)
from app.store.sql import select_columns

_TABLES: dict[str, type[Cluster | Host | PrimaryStorage | L3Network | DiskOffering | Image]] = {
    "ClusterVO": Cluster,
    "HostVO": Host,
    "PrimaryStorageVO": PrimaryStorage,
    "L3NetworkVO": L3Network,
    "DiskOfferingVO": DiskOffering,
    "ImageVO": Image,
}


def exists(connection: Connection, kind: str, uuid: str) -> bool:
    """`kind` is ZStack's resource type."""
    table = _TABLES[kind]
    found = connection.execute(select_columns(table.uuid).where(col(table.uuid) == uuid))
    return found.one_or_none() is not None


def may_use(connection: Connection, account_uuid: str, owner_uuid: str) -> bool:
    """Owners and administrators may."""
    if account_uuid == owner_uuid:
        return True
    kind = connection.scalar(select_columns(Account.type).where(col(Account.uuid) == account_uuid))
    return kind is AccountType.SYSTEM_ADMIN


def may_copy(
    connection: Connection, account_uuid: str, kind: str, uuid: str, *, owner_uuid: str = ADMIN_UUID
) -> bool:
    """May make something of the resource that stays as it is: so may, beside who may use it, those
    it is shared with. `kind` is ZStack's resource type."""
    return may_use(connection, account_uuid, owner_uuid) or shares.is_shared_with(
        connection, kind, uuid, account_uuid
    )


def ranges(connection: Connection, l3_network_uuid: str) -> list[AddressRange]:
    """Of both families."""
    rows = connection.execute(
        select_columns(IpRange).where(col(IpRange.l3_network_uuid) == l3_network_uuid)
    ).all()
    return list(map(range_of, rows))


def range_of(row: Any) -> AddressRange:
    """A row of ip_ranges."""
    return AddressRange(
        row.uuid,
        addressing.split_ip(row.start_ip)[1],
        addressing.split_ip(row.end_ip)[1],
        row.netmask,
        row.gateway,
        row.ip_version,
    )


def offered_bytes(connection: Connection, disk_offering_uuid: str) -> int:
    return int(
        connection.execute(
            select_columns(DiskOffering.disk_size).where(
                col(DiskOffering.uuid) == disk_offering_uuid
            )
        ).scalar_one()
    )
