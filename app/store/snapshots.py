"""Snapshots that hold running sources still: journalled before they are taken, and owed from then
on until every disk is back (`app.store.debts`).
"""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, text

from app.domain.errors import SourceVolumeBusy
from app.domain.snapshots import FrozenDisk
from app.store import capacity
from app.store.base_claims import BaseClaim
from app.store.leases import LeaseLost
from app.store.session import Database

DISKS = TypeAdapter(tuple[FrozenDisk, ...])


def journal(
    database: Database, claim: BaseClaim, domain_uuid: str, disks: Sequence[FrozenDisk]
) -> None:
    """From here on the snapshot may exist, and is owed. What its overlays may take is reserved.

    Raises PrimaryStorageFull, and SourceVolumeBusy while another one of the source is owed."""

    def work(connection: Connection) -> None:
        _hold(connection, claim.key)
        inserted = connection.execute(
            text(
                "INSERT INTO source_snapshots (vm_instance_uuid, base_set_uuid, domain_uuid, "
                "disks, suspended, tries) VALUES (:vm, :base_set, :domain, CAST(:disks AS jsonb), "
                "FALSE, 0) ON CONFLICT DO NOTHING"
            ),
            {
                "vm": claim.vm_uuid,
                "base_set": claim.base_set_uuid,
                "domain": domain_uuid,
                "disks": dumps(disks),
            },
        ).rowcount
        if not inserted:
            raise SourceVolumeBusy(_owed(connection, claim.vm_uuid))
        for disk in disks:
            capacity.reserve_storage(
                connection,
                disk.storage,
                disk.overlay_uuid,
                disk.allowance,
                f"what the running source may write to disk {disk.target} while it is copied",
            )

    database.run(work)


def check_none(database: Database, vm_uuid: str) -> None:
    """Raises SourceVolumeBusy while a snapshot of the source is owed, or a file of one lingers."""
    with database.single() as connection:
        found = connection.scalar(
            text("SELECT 1 FROM source_snapshots WHERE vm_instance_uuid = :vm"), {"vm": vm_uuid}
        )
        if found:
            raise SourceVolumeBusy(_owed(connection, vm_uuid))


def _owed(connection: Connection, vm_uuid: str) -> str:
    row = connection.execute(
        text(
            "SELECT frozen_at, paid_at, disks->0->>'overlay_path' AS path, "
            "error->>'details' AS error FROM source_snapshots WHERE vm_instance_uuid = :vm"
        ),
        {"vm": vm_uuid},
    ).one_or_none()
    if row is not None and row.paid_at is not None and row.frozen_at is None:
        return "an earlier snapshot of it was interrupted, and is looked for once more in a minute"
    if row is not None and row.paid_at is not None:
        return (
            f"libvirt takes {row.path} for a disk's file since it was killed, and refuses another "
            "snapshot; power the source off and on, or stop it and clone again"
        )
    why = f": {row.error}" if row and row.error else ""
    return f"its disks are still being put back after an earlier snapshot{why}"


def frozen(database: Database, claim: BaseClaim) -> None:
    """The snapshot was taken: the clones are of this moment."""
    with database.single() as connection:
        connection.execute(
            text(
                "UPDATE source_snapshots SET frozen_at = clock_timestamp() FROM base_sets s "
                "WHERE s.uuid = base_set_uuid AND s.uuid = :uuid AND s.fence = :fence"
            ),
            claim.key,
        )


def overlay_storages(connection: Connection) -> dict[str, str]:
    """The storage of each overlay that may exist, by the overlay's uuid."""
    rows = connection.execute(
        text(
            "SELECT disk->>'overlay_uuid' AS uuid, disk->'storage'->>'uuid' AS storage "
            "FROM source_snapshots, jsonb_array_elements(disks) AS disk"
        )
    ).all()
    return {row.uuid: row.storage for row in rows}


def _hold(connection: Connection, key: dict[str, Any]) -> None:
    held = connection.execute(
        text(
            "SELECT 1 FROM base_sets WHERE uuid = :uuid AND fence = :fence "
            "AND state = 'Making' FOR UPDATE"
        ),
        key,
    ).one_or_none()
    if held is None:
        raise LeaseLost


def dumps(disks: Sequence[FrozenDisk]) -> str:
    return DISKS.dump_json(tuple(disks)).decode()
