"""Accounts and sessions: who may call, and for how long.

Clients send the SHA-512 of the password; what is stored is a slow salted hash of that.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import asyncpg
from sqlalchemy import Connection, text

from app.domain.errors import AuthenticationFailed, TooManySessions
from app.store.session import asked_twice

ADMIN_NAME = "admin"
ADMIN_UUID = "36c27e8ff05c4780bf6d2fa65700f22e"  # ZStack's constant
MAX_SESSIONS = 500
# A sliding session is rewritten at most once a minute, since a hot row would serialise all of a
# caller's requests; it lives that much longer, so that nobody loses time by it.
SLIDE_S = 60

_N, _R, _P = 2**14, 8, 1


@dataclass(frozen=True, slots=True)
class SessionView:
    uuid: str
    account_uuid: str
    user_uuid: str
    created_at: datetime
    expires_at: datetime


def sha512(password: str) -> str:
    """What a client sends."""
    return hashlib.sha512(password.encode()).hexdigest()


def hash_password(sent: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_derive(sent, salt, _N, _R, _P).hex()}"


def verify_password(sent: str, stored: str) -> bool:
    """Takes tens of milliseconds: keep it off the event loop."""
    scheme, *numbers, salt, key = stored.split("$")
    if scheme != "scrypt":
        return False
    derived = _derive(sent, bytes.fromhex(salt), *map(int, numbers))
    return hmac.compare_digest(derived, bytes.fromhex(key))


def _derive(sent: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(sent.encode(), salt=salt, n=n, r=r, p=p, maxmem=64 << 20)


# Compared against where there is no such account, so that both answers take the same time.
_NOBODY = f"scrypt${_N}${_R}${_P}${'00' * 16}${'00' * 64}"


def ensure_admin(connection: Connection, password: str) -> None:
    """The admin account is there and has this password; other accounts are left alone."""
    sent = sha512(password)
    stored = connection.scalar(
        text("SELECT password_hash FROM accounts WHERE uuid = :uuid"), {"uuid": ADMIN_UUID}
    )
    if stored is not None and verify_password(sent, stored):
        return
    connection.execute(
        text(
            "INSERT INTO accounts (uuid, name, type, password_hash, weight) "
            "VALUES (:uuid, :name, 'SystemAdmin', :hash, 1) "
            "ON CONFLICT (uuid) DO UPDATE SET password_hash = excluded.password_hash"
        ),
        {"uuid": ADMIN_UUID, "name": ADMIN_NAME, "hash": hash_password(sent)},
    )


def has_admin(connection: Connection) -> bool:
    return bool(
        connection.scalar(
            text("SELECT EXISTS (SELECT 1 FROM accounts WHERE uuid = :uuid)"),
            {"uuid": ADMIN_UUID},
        )
    )


def name_of(connection: Connection, account_uuid: str) -> str | None:
    name = connection.scalar(
        text("SELECT name FROM accounts WHERE uuid = :uuid"), {"uuid": account_uuid}
    )
    return str(name) if name is not None else None


def password_of(connection: Connection, name: str) -> tuple["Identity | None", str]:
    """The account and what its password is verified against; for an unknown name None and a hash
    that nothing matches."""
    row = connection.execute(
        text("SELECT uuid, password_hash FROM accounts WHERE name = :name"), {"name": name}
    ).one_or_none()
    return (Identity(row.uuid, row.uuid), row.password_hash) if row else (None, _NOBODY)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs in: an account, or a user of it."""

    account_uuid: str
    user_uuid: str


def user_password_of(
    connection: Connection, user: str, *, account_name: str | None, account_uuid: str | None
) -> tuple[Identity | None, str]:
    """As `password_of`, for the account's user of that name."""
    row = connection.execute(
        text(
            "SELECT u.account_uuid, u.uuid, u.password_hash FROM users u "
            "JOIN accounts a ON a.uuid = u.account_uuid WHERE u.name = :user "
            "AND (a.uuid = :uuid OR a.name = :name)"
        ),
        {"user": user, "uuid": account_uuid, "name": account_name},
    ).one_or_none()
    return (Identity(row.account_uuid, row.uuid), row.password_hash) if row else (None, _NOBODY)


def open_session(connection: Connection, who: Identity, *, timeout_s: int) -> SessionView:
    """Raises TooManySessions."""
    # Two sign-ins of one user count one after the other, or both would take the last place.
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:user, 7263514))"),
        {"user": who.user_uuid},
    )
    live = connection.scalar(
        text(
            "SELECT count(*) FROM sessions "
            "WHERE user_uuid = :user AND expires_at > clock_timestamp()"
        ),
        {"user": who.user_uuid},
    )
    if (live or 0) >= MAX_SESSIONS:
        raise TooManySessions
    row = connection.execute(
        text(
            "INSERT INTO sessions (uuid, account_uuid, user_uuid, expires_at) "
            "VALUES (:uuid, :account, :user, "
            " clock_timestamp() + make_interval(secs => :life_s)) "
            "RETURNING uuid, account_uuid, user_uuid, created_at, expires_at"
        ),
        {
            "uuid": uuid4().hex,
            "account": who.account_uuid,
            "user": who.user_uuid,
            "life_s": timeout_s + SLIDE_S,
        },
    ).one()
    return SessionView(*row)


def close_session(connection: Connection, session_uuid: str) -> None:
    """Gone afterwards; an unknown one is gone already."""
    connection.execute(text("DELETE FROM sessions WHERE uuid = :uuid"), {"uuid": session_uuid})


def is_valid(connection: Connection, session_uuid: str) -> bool:
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT 1 FROM sessions "
                "WHERE uuid = :uuid AND expires_at > clock_timestamp())"
            ),
            {"uuid": session_uuid},
        )
    )


@dataclass(frozen=True, slots=True)
class Caller:
    account_uuid: str
    is_admin: bool
    user_uuid: str | None = None  # the account's own, or None, where no user of it signed in

    @property
    def is_user(self) -> bool:
        return self.user_uuid not in {None, self.account_uuid}


_CALLER = """
SELECT a.uuid, a.type = 'SystemAdmin' AS is_admin, s.user_uuid,
    s.expires_at < clock_timestamp() + make_interval(secs => $2::float8) AS slides
FROM sessions s JOIN accounts a ON a.uuid = s.account_uuid
WHERE s.uuid = $1::text AND s.expires_at > clock_timestamp()
"""


async def caller_of(pool: asyncpg.Pool, session_uuid: str, *, timeout_s: int) -> Caller | None:
    """Who holds this session, which slides; None if it is unknown or expired."""
    row = await asked_twice(lambda: pool.fetchrow(_CALLER, session_uuid, timeout_s))
    if row is None:
        return None
    if row["slides"]:
        await slide(pool, session_uuid, timeout_s=timeout_s)
    return Caller(row["uuid"], row["is_admin"], row["user_uuid"])


async def slide(pool: asyncpg.Pool, session_uuid: str, *, timeout_s: int) -> None:
    await pool.execute(
        "UPDATE sessions SET expires_at = clock_timestamp() "
        "+ make_interval(secs => $2::float8) WHERE uuid = $1::text",
        session_uuid,
        timeout_s + SLIDE_S,
    )


def renew_session(
    connection: Connection, session_uuid: str, *, life_s: int, account_uuid: str | None
) -> SessionView | None:
    """The session lives so long from now; None if it is unknown, expired or, unless `account_uuid`
    is None, another account's."""
    row = connection.execute(
        text(
            "UPDATE sessions SET expires_at = clock_timestamp() + make_interval(secs => :life_s) "
            "WHERE uuid = :uuid AND expires_at > clock_timestamp() "
            "AND (CAST(:account AS text) IS NULL OR account_uuid = :account) "
            "RETURNING uuid, account_uuid, user_uuid, created_at, expires_at"
        ),
        {"uuid": session_uuid, "life_s": life_s, "account": account_uuid},
    ).one_or_none()
    return SessionView(*row) if row else None


def end_sessions(connection: Connection, user_uuid: str, *, but: str | None = None) -> None:
    """Of one user or account, but the one named."""
    connection.execute(
        text("DELETE FROM sessions WHERE user_uuid = :user AND uuid IS DISTINCT FROM :but"),
        {"user": user_uuid, "but": but},
    )


def check_password(who: Identity | None, sent: str, stored: str) -> Identity:
    """Raises AuthenticationFailed."""
    matches = verify_password(sent, stored)
    if who is None or not matches:
        raise AuthenticationFailed
    return who
