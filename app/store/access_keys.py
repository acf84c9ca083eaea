"""Access keys: made, found, deleted. Their secrets are derived, and stored nowhere.

A signature is an HMAC with the secret, so whoever checks it must have the secret in clear. It is
derived from a key file of the API's machine and the key's own salt: a copy of the database signs
nothing, and neither does the key file without the database.
"""

import base64
import hashlib
import hmac
import os
import secrets
import string
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, text

from app.domain.errors import KeyFileUnusable, ResourceNotFound

ID_LENGTH = 20
SECRET_LENGTH = 40
KEY_FILE_BYTES = 32
_ALPHABET = string.ascii_letters + string.digits  # neither may hold a colon


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What secrets are derived from."""

    key: bytes
    path: Path

    @property
    def fingerprint(self) -> str:
        """Tells key files apart, and gives nothing of them away."""
        return hmac.new(self.key, b"fingerprint", hashlib.sha256).hexdigest()[:16]

    def secret(self, access_key_id: str, salt: str) -> str:
        digest = hmac.new(self.key, f"{access_key_id}\n{salt}".encode(), hashlib.sha512).digest()
        return base64.b64encode(digest, b"xy").decode()[:SECRET_LENGTH]


def open_key_file(path: Path) -> KeyFile:
    """Made on first use, for its owner's eyes alone. Raises KeyFileUnusable."""
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise KeyFileUnusable(
            f"the key file {path} cannot be used: {error.strerror}; secrets of access keys are "
            "derived from it: put it in place, or set VMCLONE_ACCESS_KEY_FILE"
        ) from error
    if len(key) < KEY_FILE_BYTES:
        raise KeyFileUnusable(
            f"the key file {path} has {len(key)} bytes, at least {KEY_FILE_BYTES} are needed; put "
            "the right one in its place"
        )
    return KeyFile(key, path)


def _make(path: Path) -> None:
    """Whole or not at all, and whoever comes second takes the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_FILE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink()


@dataclass(frozen=True, slots=True)
class NewAccessKey:
    row: Row[Any]  # the access_keys row
    secret: str  # shown once


def create(
    connection: Connection,
    key_file: KeyFile,
    *,
    account_uuid: str,
    user_uuid: str | None = None,
    description: str | None = None,
    uuid: str | None = None,
) -> NewAccessKey:
    """The account, or the user of it, exists."""
    access_key_id = "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))
    salt = secrets.token_hex(16)
    row = connection.execute(
        text(
            "INSERT INTO access_keys (uuid, access_key_id, account_uuid, user_uuid, description, "
            "salt, key_file) VALUES (:uuid, :id, :account, :user, :description, :salt, :key_file) "
            "RETURNING *"
        ),
        {
            "uuid": uuid or uuid4().hex,
            "id": access_key_id,
            "account": account_uuid,
            "user": user_uuid or account_uuid,
            "description": description,
            "salt": salt,
            "key_file": key_file.fingerprint,
        },
    ).one()
    return NewAccessKey(row, key_file.secret(access_key_id, salt))


def delete(connection: Connection, given: str, *, account_uuid: str | None = None) -> None:
    """By uuid or access key id; `account_uuid` None: anybody's. Raises ResourceNotFound."""
    gone = connection.execute(
        text(
            "DELETE FROM access_keys WHERE (uuid = :given OR access_key_id = :given) "
            "AND (CAST(:account AS text) IS NULL OR account_uuid = :account)"
        ),
        {"given": given, "account": account_uuid},
    ).rowcount
    if not gone:
        raise ResourceNotFound(
            f"invalid field[uuid], resource[uuid:{given}, type:AccessKeyVO] not found"
        )


def list_keys(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(
        text(
            "SELECT k.access_key_id, a.name AS account, u.name AS user, k.description, k.uuid "
            "FROM access_keys k JOIN accounts a ON a.uuid = k.account_uuid "
            "LEFT JOIN users u ON u.uuid = k.user_uuid ORDER BY k.created_at"
        )
    ).all()


@dataclass(frozen=True, slots=True)
class KnownKey:
    account_uuid: str
    user_uuid: str
    is_admin: bool
    salt: str
    key_file: str


def find(connection: Connection, access_key_id: str) -> KnownKey | None:
    row = connection.execute(
        text(
            "SELECT k.account_uuid, k.user_uuid, a.type = 'SystemAdmin', k.salt, k.key_file "
            "FROM access_keys k JOIN accounts a ON a.uuid = k.account_uuid "
            "WHERE k.access_key_id = :id"
        ),
        {"id": access_key_id},
    ).one_or_none()
    return KnownKey(*row) if row else None
