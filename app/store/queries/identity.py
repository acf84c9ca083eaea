"""Who calls."""

from app.store.queries.source import Source, owned


def _itself(row: str) -> str:
    return f"{row}.uuid = :account"


def _its_own(row: str) -> str:
    """An account's are all of its users'; a user's are the user's alone."""
    return f"{row}.account_uuid = :account AND (:user = :account OR {row}.user_uuid = :user)"


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


def _shared_with_or_by(row: str) -> str:
    return (
        f"{row}.to_public OR {row}.owner_account_uuid = :account "
        f"OR {row}.receiver_account_uuid = :account"
    )


SOURCES = {
    "long_jobs": Source(_LONG_JOBS, owned),
    "users": Source("users", owned),
    "access_keys": Source("(SELECT k.*, 'Enabled' AS state FROM access_keys k)", owned),
    "quotas": Source(
        "(SELECT md5(a.uuid || q.name) AS uuid, q.name, a.uuid AS account_uuid, "
        "'AccountVO' AS identity_type, q.value, q.created_at, q.last_op_at "
        "FROM accounts a CROSS JOIN LATERAL (SELECT DISTINCT ON (name) * FROM quotas "
        " WHERE account_uuid IN (a.uuid, '') ORDER BY name, account_uuid DESC) q)",
        owned,
    ),
    "shared_resources": Source("shared_resources", _shared_with_or_by),
    "accounts": Source("accounts", _itself),
    # A session's uuid is all that it takes to use it: nobody sees another account's, and no user
    # that of the account itself, which may do more.
    "sessions": Source(
        "(SELECT s.* FROM sessions s WHERE s.expires_at > clock_timestamp())",
        _its_own,
        private=True,
    ),
}
