"""Items that are taken back: begun, undone step by step, stranded, ended, looked at once more."""

from sqlalchemy import Connection, text

from app.domain.errors import CloneError
from app.domain.plan import ClonePlan
from app.domain.states import ItemState, check_move
from app.domain.steps import StepName
from app.store import put_back
from app.store.codec import dumps, error_to_json, plan_from_json
from app.store.items.counts import count_end
from app.store.items.unheld import is_first_start
from app.store.leases import Claim, LeaseLost
from app.store.session import Database

RECHECK_S = 60.0  # after a rollback, for calls that outlived who made them


def begin_rollback(
    database: Database, claim: Claim, step: StepName, ends_as: ItemState, error: CloneError
) -> None:
    """From here on the item is only taken back, by whoever holds it."""
    check_move(ItemState.RUNNING, ItemState.ROLLING_BACK)
    with database.single() as connection:
        changed = connection.execute(
            text(
                "UPDATE items SET state = 'RollingBack', ends_as = :ends_as, step = :step, "
                "error = CAST(:error AS jsonb) "
                "WHERE uuid = :item_uuid AND fence = :fence AND state = 'Running'"
            ),
            claim.key | {"ends_as": ends_as, "step": step, "error": dumps(error_to_json(error))},
        ).rowcount
    if not changed:
        raise LeaseLost


def record_undo(database: Database, claim: Claim, step: StepName) -> None:
    with database.single() as connection:
        connection.execute(
            text(
                "UPDATE steps SET undone_at = clock_timestamp() FROM items "
                "WHERE items.uuid = :item_uuid AND items.fence = :fence "
                "AND steps.item_uuid = items.uuid AND steps.name = :step"
            ),
            claim.key | {"step": step},
        )


def strand(database: Database, claim: Claim, *, delay_s: float, failures: list[str]) -> bool:
    """An undo failed: every reservation is kept and it is tried again. The job counts the item as
    failed, once; True if that ended its last open item."""
    check_move(ItemState.ROLLING_BACK, ItemState.STRANDED)

    def work(connection: Connection) -> bool:
        first = connection.execute(
            text(
                "UPDATE items SET state = 'Stranded', owner = NULL, lease_until = NULL, "
                "not_before = clock_timestamp() + make_interval(secs => :delay_s), "
                "error = jsonb_set(error, '{opaque}', COALESCE(error->'opaque', '{}') "
                "|| jsonb_build_object('undo', CAST(:failures AS jsonb))), "
                "finished_at = COALESCE(finished_at, clock_timestamp()) "
                "FROM (SELECT uuid, finished_at AS before FROM items WHERE uuid = :item_uuid) old "
                "WHERE items.uuid = old.uuid AND fence = :fence AND state = 'RollingBack' "
                "RETURNING old.before IS NULL"
            ),
            claim.key | {"delay_s": delay_s, "failures": dumps(failures)},
        ).scalar_one_or_none()
        if first is None:
            raise LeaseLost
        return bool(first) and count_end(connection, claim, ItemState.FAILED)

    return database.run(work)


def end_rolled_back(database: Database, claim: Claim, ends_as: ItemState) -> bool:
    """Nothing of the clone is left on host or storage: its rows and reservations go too. True if
    that ended the last open item of its job."""
    check_move(ItemState.ROLLING_BACK, ends_as)

    def work(connection: Connection) -> bool:
        first = connection.execute(
            text(
                "UPDATE items SET state = CAST(:ends_as AS item_state), owner = NULL, "
                "lease_until = NULL, finished_at = COALESCE(finished_at, clock_timestamp()), "
                # Somebody else held it before, whose last call may still be on its way.
                "recheck_at = CASE WHEN fence > 1 THEN clock_timestamp() "
                " + make_interval(secs => :recheck_s) END "
                "FROM (SELECT uuid, finished_at AS before FROM items WHERE uuid = :item_uuid) old "
                "WHERE items.uuid = old.uuid AND fence = :fence AND state = 'RollingBack' "
                "RETURNING old.before IS NULL"
            ),
            claim.key | {"ends_as": ends_as, "recheck_s": RECHECK_S},
        ).scalar_one_or_none()
        if first is None:
            raise LeaseLost
        if is_first_start(connection, claim.item_uuid):
            put_back.to_record(connection, claim.plan.vm_uuid, claim.volume_uuids)
        else:
            put_back.forget_vm(connection, claim.plan.vm_uuid, claim.volume_uuids)
        return bool(first) and count_end(connection, claim, ends_as)

    return database.run(work)


def plan_to_recheck(database: Database, item_uuid: str) -> ClonePlan | None:
    """Of an item that was taken back and whose host is to be looked at again."""
    with database.single() as connection:
        plan = connection.scalar(
            text(
                # A record may have been started again meanwhile.
                "SELECT plan FROM items WHERE uuid = :uuid AND recheck_at IS NOT NULL "
                "AND NOT EXISTS (SELECT 1 FROM vm_instances v WHERE v.uuid = items.vm_uuid "
                " AND v.state <> 'Created')"
            ),
            {"uuid": item_uuid},
        )
    found = plan_from_json(plan) if plan else None
    return found if isinstance(found, ClonePlan) else None


def rechecked(database: Database, item_uuid: str) -> None:
    with database.single() as connection:
        connection.execute(
            text("UPDATE items SET recheck_at = NULL WHERE uuid = :uuid"), {"uuid": item_uuid}
        )


def send_back_made(
    connection: Connection, job_uuid: str, *, to: ItemState, error: CloneError, limit: int
) -> int:
    """Made items of a job that comes to nothing are taken back, by whoever claims them next; how
    many they were. Raises LeaseLost where the job began to finish at the same moment."""
    check_move(ItemState.MADE, ItemState.ROLLING_BACK)
    sent = connection.execute(
        text(
            "UPDATE items SET state = 'RollingBack', ends_as = :to, published_at = NULL, "
            "lease_until = clock_timestamp(), error = CAST(:error AS jsonb) WHERE uuid IN "
            "(SELECT uuid FROM items WHERE job_uuid = :job_uuid AND state = 'Made' "
            " ORDER BY uuid LIMIT :limit FOR UPDATE)"
        ),
        {"job_uuid": job_uuid, "to": to, "error": dumps(error_to_json(error)), "limit": limit},
    ).rowcount
    if not sent:
        return 0
    running = connection.execute(
        text("SELECT 1 FROM jobs WHERE uuid = :uuid AND state = 'Running' FOR NO KEY UPDATE"),
        {"uuid": job_uuid},
    ).one_or_none()
    if running is None:
        raise LeaseLost
    return sent
