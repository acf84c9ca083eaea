"""Due work: what the database says should be going on and nobody has in hand.

Each query returns uuids to publish, taken with SKIP LOCKED in batches, and notes when, so that
publishing again stays bounded. Publishing is the caller's, after the commit.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from app.domain.errors import OperationCanceled, OperationTimeout
from app.domain.states import ItemState, JobState, check_move
from app.store import items, jobs

BATCH = 200
UNCLAIMED_S = 5.0  # a published message that nobody took in this time is published again

ByHost = Mapping[str, Sequence[str]]


SWEEPER_LOCK = 7263513


def begin_pass(connection: Connection, *, lease_s: float) -> bool | None:
    """Whether lapsed leases may be stolen in this pass; None while another sweeper is at it.

    After a gap longer than a lease (PostgreSQL was away, the laptop slept) the holders get one
    more lease to say that they are alive.
    """
    if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": SWEEPER_LOCK}):
        return None
    return bool(
        connection.scalar(
            text(
                "INSERT INTO sweeper_passes AS p (id, steals_from) "
                "VALUES (1, clock_timestamp() + make_interval(secs => :lease_s)) "
                "ON CONFLICT (id) DO UPDATE SET passed_at = clock_timestamp(), "
                "steals_from = CASE WHEN p.passed_at < clock_timestamp() "
                " - make_interval(secs => :lease_s) THEN excluded.steals_from "
                " ELSE p.steals_from END RETURNING steals_from <= clock_timestamp()"
            ),
            {"lease_s": lease_s},
        )
    )


def accepted_jobs(connection: Connection) -> list[str]:
    return _publishable(connection, "jobs", "state = 'Accepted'")


def finishing_jobs(connection: Connection) -> list[str]:
    return _publishable(connection, "jobs", "state = 'Finishing'")


def complete_jobs(connection: Connection) -> list[str]:
    """Running jobs without an open item: whoever ended the last one died before saying so."""
    check_move(JobState.RUNNING, JobState.FINISHING)
    return list(
        connection.execute(
            text(
                "UPDATE jobs SET state = 'Finishing', published_at = clock_timestamp() "
                "WHERE uuid IN (SELECT uuid FROM jobs JOIN job_counters c ON c.job_uuid = uuid "
                " WHERE state = 'Running' AND c.succeeded + c.failed + c.canceled = c.total "
                " LIMIT :batch FOR UPDATE OF jobs SKIP LOCKED) RETURNING uuid"
            ),
            {"batch": BATCH},
        ).scalars()
    )


def _publishable(connection: Connection, table: str, condition: str) -> list[str]:
    return list(
        connection.execute(
            text(
                f"UPDATE {table} SET published_at = clock_timestamp() WHERE uuid IN "  # noqa: S608
                f"(SELECT uuid FROM {table} WHERE {condition} AND "
                " COALESCE(published_at, created_at) "
                " < clock_timestamp() - make_interval(secs => :unclaimed_s) "
                " ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING uuid"
            ),
            {"unclaimed_s": UNCLAIMED_S, "batch": BATCH},
        ).scalars()
    )


def base_sets(connection: Connection, *, steal: bool) -> ByHost:
    """Base sets asked for, and those whose lease lapsed where `steal` allows it."""
    return _base_sets(
        connection,
        "(state = 'Wanted' AND COALESCE(not_before <= clock_timestamp(), TRUE)) "
        + ("OR (state = 'Making' AND lease_until <= clock_timestamp())" if steal else ""),
    )


def removable_base_sets(connection: Connection) -> ByHost:
    return _base_sets(connection, "state = 'Deleting'")


def _base_sets(connection: Connection, condition: str) -> ByHost:
    rows = connection.execute(
        text(
            "UPDATE base_sets SET published_at = clock_timestamp() WHERE uuid IN "  # noqa: S608
            f"(SELECT uuid FROM base_sets WHERE ({condition}) AND COALESCE(published_at "
            " < clock_timestamp() - make_interval(secs => :unclaimed_s), TRUE) "
            " ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING host_uuid, uuid"
        ),
        {"unclaimed_s": UNCLAIMED_S, "batch": BATCH},
    ).all()
    return _by_host([(row.host_uuid, row.uuid) for row in rows])


def open_items(connection: Connection, *, steal: bool) -> ByHost:
    """Items that a worker should have: granted and not claimed, due for another attempt, and
    those whose lease lapsed where `steal` allows it."""
    lapsed = (
        "OR (state IN ('Running', 'RollingBack') AND lease_until <= clock_timestamp())"
        if steal
        else ""
    )
    rows = connection.execute(
        text(
            "UPDATE items SET published_at = clock_timestamp() WHERE uuid IN "  # noqa: S608
            "(SELECT uuid FROM items WHERE ((state = 'Granted' "
            " AND COALESCE(not_before <= clock_timestamp(), TRUE)) "
            f" {lapsed}) AND COALESCE(GREATEST(published_at, not_before) "
            " < clock_timestamp() - CASE WHEN not_before > published_at THEN interval '0' "
            " ELSE make_interval(secs => :unclaimed_s) END, TRUE) "
            " LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING host_uuid, uuid"
        ),
        {"unclaimed_s": UNCLAIMED_S, "batch": BATCH},
    ).all()
    return _by_host([(row.host_uuid, row.uuid) for row in rows])


def stranded_items(connection: Connection) -> ByHost:
    """Failed rollbacks whose next try has come: theirs again to claim."""
    check_move(ItemState.STRANDED, ItemState.ROLLING_BACK)
    rows = connection.execute(
        text(
            "UPDATE items SET state = 'RollingBack', lapses = 0, lease_until = clock_timestamp(), "
            "published_at = clock_timestamp() WHERE uuid IN (SELECT uuid FROM items "
            " WHERE state = 'Stranded' AND not_before <= clock_timestamp() "
            " LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING host_uuid, uuid"
        ),
        {"batch": BATCH},
    ).all()
    return _by_host([(row.host_uuid, row.uuid) for row in rows])


def take_back_unclaimed(connection: Connection, *, host_silent_s: float) -> int:
    """Grants that were never claimed and whose host fell silent wait again for another one."""
    uuids = connection.execute(
        text(
            "SELECT items.uuid FROM items JOIN hosts ON hosts.uuid = items.host_uuid "
            "WHERE items.state = 'Granted' AND items.fence = 0 AND COALESCE(hosts.seen_at "
            " < clock_timestamp() - make_interval(secs => :silent_s), TRUE) "
            "ORDER BY items.uuid LIMIT :batch FOR UPDATE OF items SKIP LOCKED"
        ),
        {"silent_s": host_silent_s, "batch": BATCH},
    ).scalars()
    return sum(
        items.give_up_unclaimed(connection, uuid, to=ItemState.WAITING) for uuid in uuids.all()
    )


def end_overdue(connection: Connection) -> list[str]:
    """Jobs past their deadline or cancelled: what no worker holds ends here, by the database
    alone. Returns the jobs whose last open item this ended; they move to Finishing."""
    overdue = connection.execute(
        text(
            "SELECT uuid, cancel_requested_at IS NOT NULL AS canceled FROM jobs "
            "WHERE state = 'Running' AND (cancel_requested_at IS NOT NULL "
            " OR (deadline_at <= clock_timestamp() AND paused_at IS NULL)) "
            "AND EXISTS (SELECT 1 FROM items WHERE job_uuid = jobs.uuid "
            " AND (items.state = 'Waiting' OR (items.state = 'Granted' AND fence = 0))) "
            "ORDER BY uuid LIMIT :batch"
        ),
        {"batch": BATCH},
    ).all()
    return [row.uuid for row in overdue if _end_unheld(connection, row.uuid, row.canceled)]


def _end_unheld(connection: Connection, job_uuid: str, canceled: bool) -> bool:
    to = ItemState.CANCELED if canceled else ItemState.FAILED
    error = OperationCanceled() if canceled else OperationTimeout("the job's deadline has passed")
    granted = connection.execute(
        text(
            "SELECT uuid FROM items WHERE job_uuid = :job_uuid AND state = 'Granted' "
            "AND fence = 0 ORDER BY uuid FOR UPDATE SKIP LOCKED"
        ),
        {"job_uuid": job_uuid},
    ).scalars()
    ended = sum(
        items.give_up_unclaimed(connection, uuid, to=to, error=error) for uuid in granted.all()
    )
    ended += items.end_waiting(connection, job_uuid, to=to, error=error)
    if items.count_ends(connection, job_uuid, to, ended):
        return jobs.begin_finishing(connection, job_uuid)
    return False


def expired_jobs(connection: Connection, *, retention_s: float, refused_s: float) -> int:
    """Finished jobs past their time go, with everything that hangs on them; jobs of refused
    sessions sooner."""
    return connection.execute(
        text(
            "DELETE FROM jobs WHERE uuid IN (SELECT uuid FROM jobs WHERE state = 'Finished' "
            "AND finished_at < clock_timestamp() - make_interval(secs => "
            " CASE WHEN account_uuid IS NULL THEN :refused_s ELSE :retention_s END) "
            "ORDER BY finished_at LIMIT 20 FOR UPDATE SKIP LOCKED)"
        ),
        {"retention_s": retention_s, "refused_s": refused_s},
    ).rowcount


def expired_sessions(connection: Connection) -> int:
    return connection.execute(
        text("DELETE FROM sessions WHERE expires_at < clock_timestamp()")
    ).rowcount


def _by_host(pairs: Sequence[tuple[str, str]]) -> ByHost:
    grouped: dict[str, list[str]] = defaultdict(list)
    for host_uuid, uuid in pairs:
        grouped[host_uuid].append(uuid)
    return grouped
