"""Due work: what the database says should be going on and nobody has in hand.

Each query returns uuids to publish, taken with SKIP LOCKED in batches, and notes when, so that
publishing again stays bounded. Publishing is the caller's, after the commit.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.errors import (
    CloneError,
    OperationCanceled,
    OperationTimeout,
    SiblingFailed,
    TooManyFailures,
)
from app.domain.states import ItemState, check_move
from app.store import base_claims, items, jobs, leases, long_jobs, tallies
from app.store.hosts import SEEN_WITHIN_S

BATCH = 200
EXPIRED_ITEMS, EXPIRED_EVENTS = 1000, 5000  # of expired jobs, a pass
UNCLAIMED_S = 5.0  # a published message that nobody took in this time is published again

ByHost = Mapping[str, Sequence[str]]


SWEEPER_LOCK = 7263513
# Nothing more of it is to begin.
STOPPED = (
    "(jobs.cancel_requested_at IS NOT NULL "
    f"OR (jobs.deadline_at <= clock_timestamp() AND jobs.paused_at IS NULL) OR {leases.GIVEN_UP})"
)


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
    found = connection.execute(
        text(
            "SELECT uuid FROM jobs "  # noqa: S608
            f"WHERE state = 'Running' AND {jobs.COMPLETE} LIMIT :batch"
        ),
        {"batch": BATCH},
    ).scalars()
    return [uuid for uuid in found.all() if jobs.begin_finishing(connection, uuid)]


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
    lapsed = "OR (state = 'Making' AND lease_until <= clock_timestamp())" if steal else ""
    return _base_sets(
        connection,
        "((state = 'Wanted' AND COALESCE(not_before <= clock_timestamp(), TRUE)) "
        f"{lapsed}) AND NOT {base_claims.OWES}",
    )


def owing_base_sets(connection: Connection, *, steal: bool) -> ByHost:
    """Base sets whose source is to be put back and nobody is at it."""
    lapsed = " OR s.lease_until <= clock_timestamp()" if steal else ""
    rows = connection.execute(
        text(
            "UPDATE source_snapshots SET published_at = clock_timestamp() FROM base_sets "  # noqa: S608
            "WHERE base_sets.uuid = base_set_uuid AND base_set_uuid IN (SELECT s.uuid "
            " FROM source_snapshots d JOIN base_sets s ON s.uuid = d.base_set_uuid "
            f" WHERE (s.owner IS NULL{lapsed}) "
            " AND COALESCE(d.not_before <= clock_timestamp(), TRUE) AND COALESCE(d.published_at "
            " < clock_timestamp() - make_interval(secs => :unclaimed_s), TRUE) "
            " LIMIT :batch FOR UPDATE OF d SKIP LOCKED) "
            "RETURNING base_sets.host_uuid, base_sets.uuid"
        ),
        {"unclaimed_s": UNCLAIMED_S, "batch": BATCH},
    ).all()
    return _by_host([(row.host_uuid, row.uuid) for row in rows])


def removable_base_sets(connection: Connection) -> ByHost:
    return _base_sets(connection, f"state = 'Deleting' AND NOT {base_claims.OWES}")


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


def unclaimed_items(connection: Connection) -> ByHost:
    """Granted and not claimed, or due for another attempt."""
    due = _items(
        connection,
        "state = 'Granted' AND COALESCE(not_before <= clock_timestamp(), TRUE) "
        "AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.uuid = job_uuid AND paused_at IS NOT NULL "
        " AND COALESCE(jobs.cancel_requested_at, items.cancel_requested_at) IS NULL)",
    )
    return _by_host([(row.host_uuid, row.uuid) for row in due])


def lapsed_items(connection: Connection, *, steal: bool) -> ByHost:
    """Those whose lease lapsed where `steal` allows it. Without an owner nothing is stolen: it was
    handed back, or its job sent it back."""
    due = _items(
        connection,
        "state IN ('Running', 'RollingBack') AND lease_until <= clock_timestamp()"
        + ("" if steal else " AND owner IS NULL"),
    )
    lapsed = sum(row.expired for row in due)
    tallies.add(connection, Counter({("lease_expired", ()): lapsed}))
    return _by_host([(row.host_uuid, row.uuid) for row in due])


def _items(connection: Connection, condition: str) -> Sequence[Row[Any]]:
    """(host_uuid, uuid, expired): whether its lease ran out since it was published last."""
    return connection.execute(
        text(
            "UPDATE items SET published_at = clock_timestamp() FROM (SELECT uuid, "  # noqa: S608
            " owner IS NOT NULL AND COALESCE(published_at <= lease_until, TRUE) AS expired "
            f" FROM items WHERE {condition} "
            " AND COALESCE(GREATEST(published_at, not_before) < clock_timestamp() "
            " - CASE WHEN not_before > published_at THEN interval '0' "
            " ELSE make_interval(secs => :unclaimed_s) END, TRUE) "
            " LIMIT :batch FOR UPDATE SKIP LOCKED) due WHERE items.uuid = due.uuid "
            "RETURNING host_uuid, items.uuid, due.expired"
        ),
        {"unclaimed_s": UNCLAIMED_S, "batch": BATCH},
    ).all()


def stranded_items(connection: Connection) -> ByHost:
    """Failed rollbacks whose next try has come, where their host is there for it: theirs again to
    claim."""
    check_move(ItemState.STRANDED, ItemState.ROLLING_BACK)
    rows = connection.execute(
        text(
            "UPDATE items SET state = 'RollingBack', lapses = 0, lease_until = clock_timestamp(), "
            "published_at = clock_timestamp() WHERE uuid IN (SELECT uuid FROM items "
            " WHERE state = 'Stranded' AND not_before <= clock_timestamp() "
            " AND host_uuid IN (SELECT uuid FROM hosts "
            "  WHERE seen_at > clock_timestamp() - make_interval(secs => :seen_s)) "
            " LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING host_uuid, uuid"
        ),
        {"seen_s": SEEN_WITHIN_S, "batch": BATCH},
    ).all()
    return _by_host([(row.host_uuid, row.uuid) for row in rows])


def rechecks(connection: Connection) -> ByHost:
    """Taken back items whose host is to be looked at again; asked again until it was."""
    rows = connection.execute(
        text(
            "UPDATE items SET recheck_at = clock_timestamp() + make_interval(secs => :again_s) "
            "WHERE uuid IN (SELECT uuid FROM items WHERE recheck_at <= clock_timestamp() "
            " ORDER BY recheck_at LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING host_uuid, uuid"
        ),
        {"again_s": items.RECHECK_S, "batch": BATCH},
    ).all()
    return _by_host([(row.host_uuid, row.uuid) for row in rows])


def take_back_unclaimed(connection: Connection, *, host_silent_s: float) -> int:
    """Grants that were never claimed and whose host fell silent, or whose job is paused, wait
    again."""
    uuids = connection.execute(
        text(
            "SELECT items.uuid FROM items JOIN hosts ON hosts.uuid = items.host_uuid "
            "JOIN jobs ON jobs.uuid = items.job_uuid "
            "WHERE items.state = 'Granted' AND items.fence = 0 "
            "AND (jobs.paused_at IS NOT NULL OR COALESCE(hosts.seen_at "
            " < clock_timestamp() - make_interval(secs => :silent_s), TRUE)) "
            "ORDER BY items.uuid LIMIT :batch FOR UPDATE OF items SKIP LOCKED"
        ),
        {"silent_s": host_silent_s, "batch": BATCH},
    ).scalars()
    return sum(
        items.give_up_unclaimed(connection, uuid, to=ItemState.WAITING) for uuid in uuids.all()
    )


def stopped_jobs(connection: Connection) -> list[str]:
    """Running jobs that are cancelled, past their deadline or past their policy, with names that
    no worker holds."""
    return list(
        connection.execute(
            text(
                "SELECT uuid FROM jobs WHERE state = 'Running' "  # noqa: S608
                f"AND {STOPPED} AND EXISTS (SELECT 1 FROM items WHERE job_uuid = jobs.uuid "
                " AND (items.state IN ('Waiting', 'Made') "
                " OR (items.state = 'Granted' AND fence = 0))) ORDER BY created_at LIMIT :batch"
            ),
            {"batch": BATCH},
        ).scalars()
    )


def end_unheld(connection: Connection, job_uuid: str) -> bool:
    """Up to a batch of a stopped job's names that no worker holds: made ones are sent back, the
    others end here, by the database alone. True while there may be more."""
    job = connection.execute(
        text(
            "SELECT cancel_requested_at IS NOT NULL AS canceled, "  # noqa: S608
            "policy->>'onFailure' = 'allOrNothing' AS all_or_nothing, "
            f"{leases.GIVEN_UP} AS given_up "
            f"FROM jobs WHERE uuid = :uuid AND state = 'Running' AND {STOPPED}"
        ),
        {"uuid": job_uuid},
    ).one_or_none()
    if job is None:
        return False
    to = ItemState.CANCELED if job.canceled else ItemState.FAILED
    error = _why_stopped(connection, job_uuid, job)
    sent_back = items.send_back_made(connection, job_uuid, to=to, error=error, limit=BATCH)
    granted = connection.execute(
        text(
            "SELECT uuid FROM items WHERE job_uuid = :job_uuid AND state = 'Granted' "
            "AND fence = 0 ORDER BY uuid LIMIT :batch FOR UPDATE SKIP LOCKED"
        ),
        {"job_uuid": job_uuid, "batch": BATCH},
    ).scalars()
    ended = sum(
        items.give_up_unclaimed(connection, uuid, to=to, error=error) for uuid in granted.all()
    )
    waiting = connection.execute(
        text(
            "SELECT uuid FROM items WHERE job_uuid = :job_uuid AND state = 'Waiting' "
            "ORDER BY uuid LIMIT :batch FOR UPDATE SKIP LOCKED"
        ),
        {"job_uuid": job_uuid, "batch": BATCH - min(ended, BATCH - 1)},
    ).scalars()
    ended += items.end_waiting(connection, job_uuid, to=to, error=error, only=waiting.all())
    if items.count_ends(connection, job_uuid, to, ended):
        jobs.begin_finishing(connection, job_uuid)
    return bool(ended or sent_back)


def _why_stopped(connection: Connection, job_uuid: str, job: Row[Any]) -> CloneError:
    if job.canceled:
        return OperationCanceled()
    if not job.given_up:
        return OperationTimeout("the job's deadline has passed")
    first = items.first_failure(connection, job_uuid)
    if job.all_or_nothing:
        return SiblingFailed(f"{SiblingFailed.__doc__} {first}")
    return TooManyFailures(f"{TooManyFailures.__doc__} {first}")


def expired_jobs(connection: Connection, *, retention_s: float, refused_s: float) -> int:
    """Finished jobs past their time go with their items, steps and events, a bounded number of
    rows at a time, the job itself last, with the long job whose it is; sooner those of refused
    sessions and those that the API did itself, since a new access key's secret stands there. How
    many jobs went."""
    expired = list(
        connection.execute(
            text(
                "SELECT uuid FROM jobs WHERE state = 'Finished' "
                "AND finished_at < clock_timestamp() - make_interval(secs => "
                " CASE WHEN account_uuid IS NULL OR kind = 'api' THEN :refused_s "
                " ELSE :retention_s END) "
                # What is not counted yet waits for that.
                "AND NOT EXISTS (SELECT 1 FROM events e, tally_cursors t "
                " WHERE e.job_uuid = jobs.uuid AND (e.xid, e.id) > (t.xid, t.event_id)) "
                "ORDER BY finished_at LIMIT 20 FOR UPDATE SKIP LOCKED"
            ),
            {"refused_s": refused_s, "retention_s": retention_s},
        ).scalars()
    )
    if not expired:
        return 0
    connection.execute(
        text(
            "WITH gone AS (DELETE FROM items WHERE uuid IN (SELECT uuid FROM items "
            " WHERE job_uuid = ANY(:expired) LIMIT :rows) RETURNING uuid) "
            "DELETE FROM steps USING gone WHERE steps.item_uuid = gone.uuid"
        ),
        {"expired": expired, "rows": EXPIRED_ITEMS},
    )
    connection.execute(
        text(
            "DELETE FROM events WHERE id IN (SELECT id FROM events "
            "WHERE job_uuid = ANY(:expired) LIMIT :rows)"
        ),
        {"expired": expired, "rows": EXPIRED_EVENTS},
    )
    empty = _empty(connection, expired)
    long_jobs.forget_those_of(connection, empty)
    return connection.execute(
        text("DELETE FROM jobs WHERE uuid = ANY(:empty)"), {"empty": empty}
    ).rowcount


def _empty(connection: Connection, job_uuids: Sequence[str]) -> list[str]:
    return list(
        connection.execute(
            text(
                "SELECT uuid FROM jobs WHERE uuid = ANY(:uuids) "
                "AND NOT EXISTS (SELECT 1 FROM items WHERE job_uuid = jobs.uuid) "
                "AND NOT EXISTS (SELECT 1 FROM events WHERE job_uuid = jobs.uuid)"
            ),
            {"uuids": job_uuids},
        ).scalars()
    )


def expired_keys(connection: Connection) -> int:
    """Idempotency keys are kept for a day."""
    return connection.execute(
        text(
            "DELETE FROM idempotency_keys WHERE ctid IN (SELECT ctid FROM idempotency_keys "
            "WHERE created_at < clock_timestamp() - interval '24 hours' LIMIT :batch)"
        ),
        {"batch": BATCH},
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
