"""Who calls."""

from app.store.queries.source import Source, owned


def _itself(row: str) -> str:
    return f"{row}.uuid = :account"


# ZStack's states from those of the job that runs it; one whose job has expired has ended.
_LONG_JOBS = """(
SELECT l.*, COALESCE(l.job_uuid, l.uuid) AS api_id,
    CASE WHEN j.uuid IS NULL OR j.outcome = 'Canceled' AND j.state = 'Finished' THEN 'Canceled'
        WHEN j.state = 'Finished' AND j.outcome = 'Failed' THEN 'Failed'
        WHEN j.state = 'Finished' THEN 'Succeeded'
        WHEN j.cancel_requested_at IS NOT NULL THEN 'Canceling'
        WHEN j.paused_at IS NOT NULL THEN 'Suspended'
        WHEN j.state = 'Accepted' THEN 'Waiting'
        ELSE 'Running' END AS state,
    convert_from(r.body, 'UTF8') AS job_result,
    extract(epoch FROM COALESCE(j.finished_at, clock_timestamp()) - j.started_at)::bigint
        AS execute_time
FROM long_jobs l LEFT JOIN jobs j ON j.uuid = l.job_uuid
LEFT JOIN job_results r ON r.job_uuid = j.uuid)"""
SOURCES = {
    "long_jobs": Source(_LONG_JOBS, owned),
    "accounts": Source("accounts", _itself),
    # A session's uuid is all that it takes to use it, so nobody sees another account's.
    "sessions": Source(
        "(SELECT s.* FROM sessions s WHERE s.expires_at > clock_timestamp())",
        owned,
        private=True,
    ),
}
