"""Accounts, users, sessions, access keys and quotas as ZStack's clients read them."""

from datetime import datetime
from typing import Any, Protocol

from app.zstack.dates import format_date

SCHEMAS = {
    "account": "org.zstack.header.identity.AccountInventory",
    "user": "org.zstack.header.identity.UserInventory",
    "session": "org.zstack.header.identity.SessionInventory",
    "accessKey": "org.zstack.header.identity.AccessKeyInventory",
    "quota": "org.zstack.header.identity.QuotaInventory",
}


class SessionLike(Protocol):
    @property
    def uuid(self) -> str: ...
    @property
    def account_uuid(self) -> str: ...
    @property
    def user_uuid(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def expires_at(self) -> datetime: ...


def session_inventory(session: SessionLike) -> dict[str, Any]:
    return {
        "uuid": session.uuid,
        "accountUuid": session.account_uuid,
        "userUuid": session.user_uuid,
        "expiredDate": format_date(session.expires_at),
        "createDate": format_date(session.created_at),
        "noSessionEvaluation": False,
    }


def account_inventory(row: Any) -> dict[str, Any]:
    """Of an `accounts` row."""
    return _present(
        uuid=row.uuid, name=row.name, description=row.description, type=str(row.type), **_dates(row)
    )


def user_inventory(row: Any) -> dict[str, Any]:
    """Of a `users` row."""
    return _present(
        uuid=row.uuid,
        accountUuid=row.account_uuid,
        name=row.name,
        description=row.description,
        **_dates(row),
    )


def access_key_inventory(row: Any, secret: str | None = None) -> dict[str, Any]:
    """Of an `access_keys` row; the secret is shown to whoever makes the key, and never again."""
    return _present(
        uuid=row.uuid,
        accountUuid=row.account_uuid,
        userUuid=row.user_uuid,
        AccessKeyID=row.access_key_id,
        AccessKeySecret=secret,
        description=row.description,
        state="Enabled",
        **_dates(row),
    )


def quota_inventory(row: Any) -> dict[str, Any]:
    """Of a `quotas` row."""
    return _present(
        name=row.name,
        identityUuid=row.account_uuid,
        identityType="AccountVO",
        value=row.value,
        **_dates(row),
    )


def _dates(row: Any) -> dict[str, str]:
    return {
        "createDate": format_date(row.created_at),
        "lastOpDate": format_date(row.last_op_at),
    }


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
