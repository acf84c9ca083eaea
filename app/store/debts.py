"""What is owed to running sources: their snapshots, until every disk is back where it was.

A set's debt is paid under the set's own lease and fence, in whatever state the set is: as long as
one is unpaid, only who pays it can claim the set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from app.domain.errors import CloneError
from app.domain.snapshots import FrozenDisk
from app.domain.states import BaseSetState, check_move
from app.store import capacity, jobs
from app.store.codec import error_to_json
from app.store.leases import MAY_STEAL, Flags, LeaseLost
from app.store.session import Database
from app.store.snapshots import DISKS, dumps

LINGER_S = 60.0  # between two looks at a file that libvirt still names


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
        DISKS.validate_python(row.disks),
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
            claim.key | {"disks": dumps(disks), "suspended": suspended},
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
            {"uuid": claim.base_set_uuid, "disks": dumps(disks), "delay_s": LINGER_S},
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
