"""A worker's claim on one base set: taken, kept alive by its heartbeat, and given up or ended."""

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from app.domain.errors import CloneError
from app.domain.states import BaseSetState, WaitReason, check_move
from app.store.codec import error_to_json
from app.store.leases import MAY_STEAL, Flags, LeaseLost
from app.store.limits import BASE_RATE
from app.store.session import Database

# A snapshot of its source is owed: nobody goes on with the set before that is paid.
OWES = (
    "EXISTS (SELECT 1 FROM source_snapshots d WHERE d.base_set_uuid = base_sets.uuid "
    "AND d.paid_at IS NULL)"
)


@dataclass(frozen=True, slots=True)
class BaseClaim:
    base_set_uuid: str
    vm_uuid: str
    host_uuid: str
    fence: int
    owner: str
    with_data_volumes: bool
    attempts: int
    lapses: int

    @property
    def uuid(self) -> str:
        return self.base_set_uuid

    @property
    def flags(self) -> Flags:
        """It is told with its first heartbeat."""
        return Flags()

    @property
    def key(self) -> dict[str, Any]:
        return {"uuid": self.base_set_uuid, "fence": self.fence}


_SAME_MACHINE = (
    "FROM hosts mine JOIN hosts peer "
    "ON COALESCE(peer.machine_id, peer.uuid) = COALESCE(mine.machine_id, mine.uuid) "
)
# One process of a machine is always left to what is quick.
_HAS_ROOM = f"""(
    SELECT count(*) FROM base_sets o WHERE o.state = 'Making' AND o.uuid <> base_sets.uuid
    AND o.lease_until > clock_timestamp() AND o.host_uuid IN
        (SELECT peer.uuid {_SAME_MACHINE} WHERE mine.uuid = base_sets.host_uuid)
) < GREATEST(1, COALESCE((SELECT processes FROM hosts WHERE uuid = base_sets.host_uuid), 2) - 1)
"""  # noqa: S608
CLAIM_LOCK = 7263515
_IS_DUE = "state = 'Wanted' AND COALESCE(not_before <= clock_timestamp(), TRUE)"


def claim(
    database: Database, base_set_uuid: str, *, owner: str, lease_s: float
) -> BaseClaim | None:
    """Take a Wanted set, or one whose lease has lapsed; None if it is neither, or owes, or where
    the machine makes as many others as it may."""
    check_move(BaseSetState.WANTED, BaseSetState.MAKING)

    def work(connection: Connection) -> Row[Any] | None:
        # Two at the same moment would not count each other.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CLAIM_LOCK})
        return connection.execute(
            text(
                "UPDATE base_sets SET state = 'Making', fence = fence + 1, owner = :owner, "  # noqa: S608
                "lease_until = clock_timestamp() + make_interval(secs => :lease_s), "
                "attempts = attempts + (state = 'Wanted')::int, "
                "lapses = lapses + (state = 'Making' AND owner IS NOT NULL)::int "
                f"WHERE uuid = :uuid AND (({_IS_DUE}) "
                "OR (state = 'Making' AND lease_until <= clock_timestamp() "
                f"AND {MAY_STEAL.format(lease_s=':lease_s')})) AND NOT {OWES} AND {_HAS_ROOM} "
                "RETURNING vm_instance_uuid, host_uuid, fence, with_data_volumes, attempts, lapses"
            ),
            {"uuid": base_set_uuid, "owner": owner, "lease_s": lease_s},
        ).one_or_none()

    row = database.run(work)
    if row is None:
        return None
    return BaseClaim(
        base_set_uuid,
        row.vm_instance_uuid,
        row.host_uuid,
        row.fence,
        owner,
        row.with_data_volumes,
        row.attempts,
        row.lapses,
    )


def next_wanted(database: Database, host_uuid: str) -> str | None:
    """The set that has waited longest of those that a worker of this host may make now: for any
    host of its machine that shares its locks."""
    with database.single() as connection:
        found: str | None = connection.execute(
            text(
                f"SELECT uuid FROM base_sets WHERE {_IS_DUE} AND NOT {OWES} AND {_HAS_ROOM} "  # noqa: S608
                f"AND host_uuid IN (SELECT peer.uuid {_SAME_MACHINE} WHERE mine.uuid = :host "
                " AND peer.lock_folder IS NOT DISTINCT FROM mine.lock_folder) "
                "ORDER BY created_at LIMIT 1"
            ),
            {"host": host_uuid},
        ).scalar_one_or_none()
    return found


def beat(database: Database, claim: BaseClaim, *, lease_s: float) -> Flags | None:
    """Extend the lease; None once it is somebody else's. A base ignores cancel and deadlines
    while any job waits for it; without one, it is cancelled."""
    with database.single() as connection:
        row = connection.execute(
            text(
                "UPDATE base_sets "  # noqa: S608
                "SET lease_until = clock_timestamp() + make_interval(secs => :lease_s) "
                "WHERE uuid = :uuid AND fence = :fence AND owner = :owner AND state = 'Making' "
                "RETURNING NOT EXISTS (SELECT 1 FROM jobs WHERE base_set_uuid = base_sets.uuid "
                "AND jobs.state <> 'Finished' AND jobs.cancel_requested_at IS NULL) AS unwanted, "
                f"{BASE_RATE}"
            ),
            claim.key | {"owner": claim.owner, "lease_s": lease_s},
        ).one_or_none()
    return Flags(cancel=row.unwanted, rate_bytes_s=row.rate_bytes_s) if row else None


def retry_later(
    database: Database,
    claim: BaseClaim,
    error: CloneError,
    *,
    delay_s: float,
    reason: WaitReason,
) -> None:
    check_move(BaseSetState.MAKING, BaseSetState.WANTED)
    database.run(
        lambda connection: move(
            connection,
            claim,
            BaseSetState.WANTED,
            "owner = NULL, lease_until = NULL, wait_reason = :reason, "
            "error = CAST(:error AS jsonb), "
            "not_before = clock_timestamp() + make_interval(secs => :delay_s)",
            reason=reason,
            error=orjson.dumps(error_to_json(error)).decode(),
            delay_s=delay_s,
        )
    )


def hand_back(database: Database, claim: BaseClaim) -> None:
    """The worker stops: the set is free at once, and this counts as nothing."""
    check_move(BaseSetState.MAKING, BaseSetState.WANTED)
    database.run(
        lambda connection: move(
            connection,
            claim,
            BaseSetState.WANTED,
            "owner = NULL, lease_until = NULL, attempts = attempts - 1, published_at = NULL",
        )
    )


def fail(database: Database, claim: BaseClaim, error: CloneError) -> None:
    """The names that wait for the set will end with `error`; the scheduler sees to that."""
    check_move(BaseSetState.MAKING, BaseSetState.FAILED)
    database.run(
        lambda connection: move(
            connection,
            claim,
            BaseSetState.FAILED,
            "owner = NULL, lease_until = NULL, error = CAST(:error AS jsonb)",
            error=orjson.dumps(error_to_json(error)).decode(),
        )
    )


def move(
    connection: Connection,
    claim: BaseClaim,
    new: BaseSetState,
    assignments: str = "",
    **parameters: Any,
) -> None:
    """Raises LeaseLost where the set is no longer this claim's."""
    changed = connection.execute(
        text(
            f"UPDATE base_sets SET state = '{new}'{', ' if assignments else ''}{assignments} "  # noqa: S608
            "WHERE uuid = :uuid AND fence = :fence AND state = 'Making'"
        ),
        claim.key | parameters,
    ).rowcount
    if not changed:
        raise LeaseLost
