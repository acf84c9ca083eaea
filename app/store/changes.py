"""What has changed since a reader last looked.

A reader's place is a transaction number: it has seen everything that transactions below that have
done. The place only moves up to the oldest transaction that still runs, so a slow one's event is
never skipped, and the events between two places are all there is between them, in (xid, id).
"""

from sqlalchemy import Connection, text

from app.store.models.engine import OPEN_ITEM

JOB_FINISHED = "job.finished"
MOST_JOBS = 1000  # of those told of between two places, the newest


def horizon(connection: Connection) -> int:
    """Every event below it is there to be read. To be asked before the rows that go with it."""
    return int(
        connection.execute(
            text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        ).scalar_one()
    )


def items_told(connection: Connection, job_uuid: str, *, since: int, until: int) -> list[str]:
    """The items that events tell of, each once, by its last event."""
    return list(
        connection.execute(
            text(
                "SELECT item_uuid FROM events WHERE job_uuid = :job AND xid >= :since "
                "AND xid < :until AND item_uuid IS NOT NULL "
                "GROUP BY item_uuid ORDER BY max(xid), max(id)"
            ),
            {"job": job_uuid, "since": since, "until": until},
        ).scalars()
    )


def is_told_finished(connection: Connection, job_uuid: str, *, until: int) -> bool:
    """Then everything that its items did is told, too: they had ended before."""
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT 1 FROM events WHERE job_uuid = :job AND kind = :kind "
                "AND item_uuid IS NULL AND xid < :until)"
            ),
            {"job": job_uuid, "kind": JOB_FINISHED, "until": until},
        )
    )


def open_versions(connection: Connection, job_uuid: str) -> dict[str, str]:
    """The version of each row of the job's items that are on their way, in request order."""
    rows = connection.execute(
        text(
            "SELECT uuid, xmin::text AS version FROM items WHERE job_uuid = :job "  # noqa: S608
            f"AND {OPEN_ITEM} ORDER BY ordinal"
        ),
        {"job": job_uuid},
    ).all()
    return {row.uuid: row.version for row in rows}


def jobs_told(connection: Connection, *, since: int, until: int) -> list[str]:
    """The jobs that events of their own tell of, the newest last."""
    uuids = connection.execute(
        text(
            "SELECT job_uuid FROM events WHERE xid >= :since AND xid < :until "
            "AND item_uuid IS NULL GROUP BY job_uuid ORDER BY max(xid) DESC, max(id) DESC "
            "LIMIT :most"
        ),
        {"since": since, "until": until, "most": MOST_JOBS},
    ).scalars()
    return list(uuids)[::-1]


def open_jobs(connection: Connection, *, most: int) -> list[str]:
    """Those that have not finished, the newest first."""
    return list(
        connection.execute(
            text(
                "SELECT uuid FROM jobs WHERE state <> 'Finished' AND kind <> 'api' "
                "ORDER BY created_at DESC LIMIT :most"
            ),
            {"most": most},
        ).scalars()
    )
