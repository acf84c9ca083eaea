"""Snapshots that hold running sources still: journalled before they are taken, and owed from then
on until every disk is back.

A set's debt is paid under the set's own lease and fence, in whatever state the set is: as long as
one is unpaid, only who pays it can claim the set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Connection, text

from app.domain.errors import CloneError, SourceVolumeBusy
from app.domain.snapshots import FrozenDisk
from app.domain.states import BaseSetState, check_move
from app.store import capacity, jobs
from app.store.base_claims import BaseClaim
from app.store.codec import error_to_json
from app.store.leases import MAY_STEAL, Flags, LeaseLost
from app.store.session import Database

LINGER_S = 60.0  # between two looks at a file that libvirt still names
_DISKS = TypeAdapter(tuple[FrozenDisk, ...])


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
                "disks": _dumps(disks),
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


@dataclass(frozen=True, slots=True)
class DebtClaim:
    """A worker's right to put a source back."""

    base_set_uuid: str
    vm_uuid: str
    host_uuid: str
    fence: int
    owner: str
    domain_uuid: str
    disks: tuple[FrozenDisk, ...]
    suspended: bool
    tries: int
    confirmed: bool  # that the snapshot was taken
    paid: bool

    @property
    def uuid(self) -> str:
        return self.base_set_uuid

    @property
    def flags(self) -> Flags:
        """It ignores cancellation, deadlines and limits."""
        return Flags()

    @property
    def key(self) -> dict[str, Any]:
        return {"uuid": self.base_set_uuid, "fence": self.fence}


def claim(
    database: Database, base_set_uuid: str, *, owner: str, lease_s: float
) -> DebtClaim | None:
    """Take what the set owes, if it owes anything now and nobody has it in hand."""
    with database.single() as connection:
        row = connection.execute(
            text(
                "UPDATE base_sets SET fence = fence + 1, owner = :owner, "  # noqa: S608
                "lease_until = clock_timestamp() + make_interval(secs => :lease_s) "
                "FROM source_snapshots d WHERE base_sets.uuid = :uuid "
                "AND d.base_set_uuid = base_sets.uuid "
                "AND COALESCE(d.not_before <= clock_timestamp(), TRUE) "
                "AND (owner IS NULL OR (lease_until <= clock_timestamp() "
                f"AND {MAY_STEAL.format(lease_s=':lease_s')})) "
                "RETURNING d.vm_instance_uuid, host_uuid, fence, d.domain_uuid, d.disks, "
                "d.suspended, d.tries, d.frozen_at, d.paid_at"
            ),
            {"uuid": base_set_uuid, "owner": owner, "lease_s": lease_s},
        ).one_or_none()
    if row is None:
        return None
    return DebtClaim(
        base_set_uuid,
        row.vm_instance_uuid,
        row.host_uuid,
        row.fence,
        owner,
        row.domain_uuid,
        _DISKS.validate_python(row.disks),
        row.suspended,
        row.tries,
        confirmed=row.frozen_at is not None,
        paid=row.paid_at is not None,
    )


def beat(database: Database, claim: DebtClaim, *, lease_s: float) -> Flags | None:
    """Extend the lease; None once it is somebody else's."""
    with database.single() as connection:
        found = connection.execute(
            text(
                "UPDATE base_sets "
                "SET lease_until = clock_timestamp() + make_interval(secs => :lease_s) "
                "WHERE uuid = :uuid AND fence = :fence AND owner = :owner RETURNING 1"
            ),
            claim.key | {"owner": claim.owner, "lease_s": lease_s},
        ).one_or_none()
    return Flags() if found else None


def note(
    database: Database, claim: DebtClaim, disks: Sequence[FrozenDisk], *, suspended: bool
) -> None:
    """What is about to be done to the source, said before it is."""
    with database.single() as connection:
        changed = connection.execute(
            text(
                "UPDATE source_snapshots SET disks = CAST(:disks AS jsonb), "
                "suspended = :suspended FROM base_sets s WHERE s.uuid = base_set_uuid "
                "AND s.uuid = :uuid AND s.fence = :fence"
            ),
            claim.key | {"disks": _dumps(disks), "suspended": suspended},
        ).rowcount
    if not changed:
        raise LeaseLost


def hand_back(database: Database, claim: DebtClaim) -> None:
    """The worker stops: the debt is free at once."""
    database.run(lambda c: _let_go(c, claim))


def retry_later(database: Database, claim: DebtClaim, error: CloneError, *, delay_s: float) -> None:
    """There is no last try."""

    def work(connection: Connection) -> None:
        _let_go(connection, claim)
        connection.execute(
            text(
                "UPDATE source_snapshots SET tries = tries + 1, error = CAST(:error AS jsonb), "
                "not_before = clock_timestamp() + make_interval(secs => :delay_s), "
                "published_at = NULL WHERE base_set_uuid = :uuid"
            ),
            {
                "uuid": claim.base_set_uuid,
                "error": orjson.dumps(error_to_json(error)).decode(),
                "delay_s": delay_s,
            },
        )

    database.run(work)


def linger(database: Database, claim: DebtClaim, disks: Sequence[FrozenDisk]) -> None:
    """The disks are back, and nothing waits any longer; the overlays stay while libvirt names
    them, and are looked at again."""

    def work(connection: Connection) -> None:
        _let_go(connection, claim)
        connection.execute(
            text(
                "UPDATE source_snapshots SET paid_at = COALESCE(paid_at, clock_timestamp()), "
                "error = NULL, disks = CAST(:disks AS jsonb), published_at = NULL, "
                "not_before = clock_timestamp() + make_interval(secs => :delay_s) "
                "WHERE base_set_uuid = :uuid"
            ),
            {"uuid": claim.base_set_uuid, "disks": _dumps(disks), "delay_s": LINGER_S},
        )

    database.run(work)


def settle(database: Database, claim: DebtClaim) -> None:
    """Every disk is back and no overlay is left: nothing is owed, and nothing held for it."""

    def work(connection: Connection) -> None:
        _let_go(connection, claim)
        connection.execute(
            text("DELETE FROM source_snapshots WHERE base_set_uuid = :uuid"), claim.key
        )
        capacity.release(connection, [disk.overlay_uuid for disk in claim.disks])

    database.run(work)


def finishing(database: Database, base_set_uuid: str) -> list[str]:
    """Jobs that waited for nothing but the set's debt begin to finish; which they are."""

    def work(connection: Connection) -> list[str]:
        return [
            job
            for job in jobs.complete_of(connection, base_set_uuid)
            if jobs.begin_finishing(connection, job)
        ]

    return database.run(work)


def overlay_storages(connection: Connection) -> dict[str, str]:
    """The storage of each overlay that may exist, by the overlay's uuid."""
    rows = connection.execute(
        text(
            "SELECT disk->>'overlay_uuid' AS uuid, disk->'storage'->>'uuid' AS storage "
            "FROM source_snapshots, jsonb_array_elements(disks) AS disk"
        )
    ).all()
    return {row.uuid: row.storage for row in rows}


def _let_go(connection: Connection, claim: DebtClaim) -> None:
    """Nobody has the set in hand. One whose maker was lost begins anew, of a later moment."""
    check_move(BaseSetState.MAKING, BaseSetState.WANTED)
    changed = connection.execute(
        text(
            "UPDATE base_sets SET owner = NULL, "
            "lapses = lapses + (state = 'Making')::int, "
            "published_at = CASE WHEN state = 'Making' THEN NULL ELSE published_at END, "
            "lease_until = NULL, "
            "state = CASE WHEN state = 'Making' THEN 'Wanted' ELSE state END "
            "WHERE uuid = :uuid AND fence = :fence"
        ),
        claim.key,
    ).rowcount
    if not changed:
        raise LeaseLost


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


def _dumps(disks: Sequence[FrozenDisk]) -> str:
    return _DISKS.dump_json(tuple(disks)).decode()
