"""Small questions about the inventory that judging a request asks."""

from sqlalchemy import Connection, text
from sqlmodel import col

from app.domain import addressing
from app.store import shares
from app.store.accounts import ADMIN_UUID
from app.store.models import Account, AccountType, Cluster, Host, L3Network, PrimaryStorage
from app.store.sql import select_columns

_TABLES: dict[str, type[Cluster | Host | PrimaryStorage | L3Network]] = {
    "ClusterVO": Cluster,
    "HostVO": Host,
    "PrimaryStorageVO": PrimaryStorage,
    "L3NetworkVO": L3Network,
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


def in_range(connection: Connection, l3_network_uuid: str, ip: str) -> bool:
    try:
        number = addressing.to_number(ip)
    except ValueError:
        return False
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT 1 FROM ip_ranges WHERE l3_network_uuid = :uuid "
                "AND :number BETWEEN start_ip_in_long AND end_ip_in_long)"
            ),
            {"uuid": l3_network_uuid, "number": number},
        )
    )
