"""Who calls."""

from app.store.queries.source import Source, owned


def _itself(row: str) -> str:
    return f"{row}.uuid = :account"


SOURCES = {
    "accounts": Source("accounts", _itself),
    # A session's uuid is all that it takes to use it, so nobody sees another account's.
    "sessions": Source(
        "(SELECT s.* FROM sessions s WHERE s.expires_at > clock_timestamp())",
        owned,
        private=True,
    ),
}
