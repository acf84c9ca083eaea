"""Reservations of CPU, memory and storage bytes: one row each, and the capacity that they hold.

Giving back is DELETE … RETURNING, and the capacity moves by what came back, so that a repeated
undo gives nothing twice. The database refuses a capacity below zero.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection, delete, func, literal_column, select, text, update
from sqlmodel import col

from app.domain.errors import PrimaryStorageFull
from app.domain.plan import StorageRef
from app.store.models import HostCapacity, Reservation, ReservationKind, StorageCapacity
from app.store.sql import copy_rows

_HOST_COLUMN = {
    ReservationKind.CPU: HostCapacity.available_cpu,
    ReservationKind.MEMORY: HostCapacity.available_memory,
}


@dataclass(frozen=True, slots=True)
class Holding:
    kind: ReservationKind
    resource_uuid: str  # the host or primary storage
    holder_uuid: str  # the VM, volume or base
    amount: int


def reserve(connection: Connection, holdings: Sequence[Holding]) -> None:
    """Hold all of them, or none: IntegrityError where a capacity would go below zero."""
    if not holdings:
        return
    copy_rows(
        connection,
        Reservation,
        [
            {
                "uuid": uuid4().hex,
                "kind": holding.kind,
                "resource_uuid": holding.resource_uuid,
                "holder_uuid": holding.holder_uuid,
                "amount": holding.amount,
            }
            for holding in sorted(holdings, key=lambda h: (h.resource_uuid, h.holder_uuid))
        ],
    )
    _move(connection, ((h.kind, h.resource_uuid, -h.amount) for h in holdings))


def reserve_storage(
    connection: Connection, storage: StorageRef, holder_uuid: str, amount: int, what: str
) -> None:
    """Hold bytes for one holder. Raises PrimaryStorageFull, naming `what` they are for."""
    available = connection.execute(
        text(
            "SELECT available_bytes FROM storage_capacities "
            "WHERE primary_storage_uuid = :uuid FOR UPDATE"
        ),
        {"uuid": storage.uuid},
    ).scalar_one()
    if available < amount:
        raise PrimaryStorageFull(
            f"primary storage[uuid:{storage.uuid}, url:{storage.url}] has {available} bytes "
            f"available, {what} needs {amount}; remove clones that are no longer needed or "
            "enlarge the storage"
        )
    reserve(connection, [Holding(ReservationKind.STORAGE, storage.uuid, holder_uuid, amount)])


def release(
    connection: Connection,
    holder_uuids: Sequence[str],
    kinds: Sequence[ReservationKind] = tuple(ReservationKind),
) -> None:
    """Give back what these hold; nothing where they hold nothing."""
    returned = connection.execute(
        delete(Reservation)
        .where(col(Reservation.holder_uuid).in_(holder_uuids), col(Reservation.kind).in_(kinds))
        .returning(col(Reservation.kind), col(Reservation.resource_uuid), col(Reservation.amount))
    ).all()
    _move(connection, ((kind, resource, amount) for kind, resource, amount in returned))


def set_storage_total(connection: Connection, storage_uuid: str, total_bytes: int) -> None:
    """The storage's size changed or became known; what is held stays held. A storage that shrank
    below what it holds has nothing available."""
    held = (
        select(func.coalesce(func.sum(Reservation.amount), 0))
        .where(col(Reservation.resource_uuid) == storage_uuid)
        .scalar_subquery()
    )
    connection.execute(
        update(StorageCapacity)
        .where(
            col(StorageCapacity.primary_storage_uuid) == storage_uuid,
            col(StorageCapacity.total_bytes) != total_bytes,
        )
        .values(
            total_bytes=total_bytes,
            available_bytes=func.greatest(literal_column("0"), total_bytes - held),
        )
    )


def _move(connection: Connection, changes: Iterable[tuple[ReservationKind, str, int]]) -> None:
    """Sum the changes a resource, then move each row once, in the order of uuids."""
    sums: dict[tuple[str, ReservationKind], int] = defaultdict(int)
    for kind, resource_uuid, amount in changes:
        sums[resource_uuid, kind] += amount
    for (resource_uuid, kind), amount in sorted(sums.items()):
        if kind is ReservationKind.STORAGE:
            storage = StorageCapacity.available_bytes
            connection.execute(
                update(StorageCapacity)
                .where(col(StorageCapacity.primary_storage_uuid) == resource_uuid)
                .values({col(storage): col(storage) + amount})
            )
        else:
            column = col(_HOST_COLUMN[kind])
            connection.execute(
                update(HostCapacity)
                .where(col(HostCapacity.host_uuid) == resource_uuid)
                .values({column: column + amount})
            )
