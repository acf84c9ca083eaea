"""Writes a checked inventory, all of it or nothing."""

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app.domain.errors import InvalidArgument
from app.store.grants import SCHEDULER_LOCK
from app.store.inventory.catalogue import write_catalogue
from app.store.inventory.holdings import Overprovisioning, write_holdings
from app.store.inventory.machines import write_vms
from app.store.inventory.places import (
    write_disk_offerings,
    write_hosts,
    write_networks,
    write_storages,
    write_zones_and_clusters,
)
from app.store.inventory.rows import InventoryConflict
from app.store.inventory.values import Inventory


def write(
    connection: Connection,
    inventory: Inventory,
    *,
    account_uuid: str,
    overprovisioning: Overprovisioning,
) -> None:
    """What `inventory` declares is there, VMs owned by the account. Written again, nothing moves.

    Raises InventoryConflict where it contradicts what clones or other VMs have, InvalidArgument
    for whatever else the database refuses; the caller's transaction must end then.
    """
    try:
        write_zones_and_clusters(connection, inventory)
        write_hosts(connection, inventory)
        write_storages(connection, inventory)
        write_networks(connection, inventory)
        write_catalogue(connection, inventory)
        write_disk_offerings(connection, inventory)
        conflicts = write_vms(connection, list(inventory.vms.values()), account_uuid)
        conflicts += write_holdings(connection, inventory, overprovisioning)
    except IntegrityError as exc:
        raise InvalidArgument(f"the inventory contradicts what is there: {exc.orig}") from exc
    if conflicts:
        raise InventoryConflict(conflicts)


def stop_grants(connection: Connection) -> None:
    """Until this transaction ends no clone is granted, so that none takes an address or a share
    of a host that is being declared."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEDULER_LOCK})
