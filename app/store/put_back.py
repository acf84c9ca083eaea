"""A VM's rows after something that was done with it came to nothing: as they were before."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, text
from sqlmodel import col

from app.store import capacity
from app.store.models import ReservationKind, Tag, VmInstance, Volume

HOST_KINDS = (ReservationKind.CPU, ReservationKind.MEMORY)


def to_record(connection: Connection, vm_uuid: str, volume_uuids: Sequence[str]) -> None:
    """A VM whose first start was taken back is the record it was, and holds nothing."""
    capacity.release(connection, [vm_uuid, *volume_uuids])
    connection.execute(
        text("DELETE FROM tags WHERE resource_uuid = ANY(:volumes)"),
        {"volumes": list(volume_uuids)},
    )
    connection.execute(
        text("DELETE FROM volumes WHERE uuid = ANY(:volumes)"), {"volumes": list(volume_uuids)}
    )
    for table in ("vm_nics", "vm_cdroms"):
        connection.execute(
            text(f"DELETE FROM {table} WHERE vm_instance_uuid = :vm"),  # noqa: S608
            {"vm": vm_uuid},
        )
    connection.execute(text("DELETE FROM tags WHERE resource_uuid = :vm"), {"vm": vm_uuid})
    connection.execute(
        text(
            "UPDATE vm_instances SET state = 'Created', host_uuid = NULL, last_host_uuid = NULL, "
            "cluster_uuid = NULL, root_volume_uuid = NULL, last_op_at = clock_timestamp() "
            "WHERE uuid = :vm"
        ),
        {"vm": vm_uuid},
    )


def to_stopped(connection: Connection, vm_uuid: str) -> None:
    """It does not run, and holds nothing of its host."""
    capacity.release(connection, [vm_uuid], HOST_KINDS)
    connection.execute(
        text(
            "UPDATE vm_instances SET state = 'Stopped', host_uuid = NULL, "
            "last_host_uuid = COALESCE(host_uuid, last_host_uuid), "
            "last_op_at = clock_timestamp() WHERE uuid = :vm"
        ),
        {"vm": vm_uuid},
    )


def forget_vm(connection: Connection, vm_uuid: str, volume_uuids: Sequence[str]) -> None:
    """Delete a VM's rows and give back all it held. NICs, addresses and CD-ROMs go with it."""
    capacity.release(connection, [vm_uuid, *volume_uuids])
    connection.execute(delete(Tag).where(col(Tag.resource_uuid).in_([vm_uuid, *volume_uuids])))
    connection.execute(delete(Volume).where(col(Volume.uuid).in_(volume_uuids)))
    connection.execute(delete(VmInstance).where(col(VmInstance.uuid) == vm_uuid))


def spare_vm(connection: Connection, vm_uuid: str, was: str | None) -> None:
    """Nobody began to do anything with it: its state is the one that it had. None: a plan of an
    earlier version does not say."""
    connection.execute(
        text(
            "UPDATE vm_instances SET last_op_at = clock_timestamp(), "
            # Marked by the sweeper, which asks again later.
            "state = CASE WHEN destroyed_at IS NOT NULL THEN 'Destroyed' "
            " ELSE COALESCE(CAST(:was AS vm_state), "
            "  CASE WHEN host_uuid IS NOT NULL THEN 'Running' ELSE 'Stopped' END::vm_state) END "
            "WHERE uuid = :uuid"
        ),
        {"uuid": vm_uuid, "was": was},
    )
