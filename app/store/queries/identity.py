"""Who calls."""

from app.store.queries.source import Source, owned


def _itself(row: str) -> str:
    return f"{row}.uuid = :account"


def _shared_with_or_by(row: str) -> str:
    return (
        f"{row}.to_public OR {row}.owner_account_uuid = :account "
        f"OR {row}.receiver_account_uuid = :account"
    )


SOURCES = {
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
    # A session's uuid is all that it takes to use it, so nobody sees another account's.
    "sessions": Source(
        "(SELECT s.* FROM sessions s WHERE s.expires_at > clock_timestamp())",
        owned,
        private=True,
    ),
}
