"""Accounts and their users: made, changed, deleted."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, text

from app.domain.errors import InvalidArgument, OperationFailed, ResourceNotFound
from app.store.accounts import ADMIN_UUID, end_sessions
from app.store.models import AccountType

SHOWN = 5  # of what an account still owns, by name


def create_account(
    connection: Connection,
    *,
    name: str,
    password_hash: str,
    kind: AccountType = AccountType.NORMAL,
    description: str | None = None,
    uuid: str | None = None,
) -> Row[Any]:
    """The new row. Raises InvalidArgument where the name or uuid is taken."""
    row = connection.execute(
        text(
            "INSERT INTO accounts (uuid, name, type, password_hash, description, weight) "
            "VALUES (:uuid, :name, :type, :hash, :description, 1) ON CONFLICT DO NOTHING "
            "RETURNING *"
        ),
        {
            "uuid": uuid or uuid4().hex,
            "name": name,
            "type": kind,
            "hash": password_hash,
            "description": description,
        },
    ).one_or_none()
    if row is None:
        raise InvalidArgument(f"unable to create an account. An account with name {name!r} exists")
    return row


def update_account(
    connection: Connection,
    uuid: str,
    *,
    name: str | None = None,
    password_hash: str | None = None,
    description: str | None = None,
    keep_session: str | None = None,
) -> Row[Any]:
    """The row as it is then; None leaves a member as it is. With a new password the account's
    sessions end, but the one named. Raises ResourceNotFound, InvalidArgument."""
    if name is not None:
        if uuid == ADMIN_UUID:
            raise InvalidArgument("the account admin keeps its name")
        taken = "SELECT 1 FROM accounts WHERE name = :name AND uuid <> :uuid"
        if connection.scalar(text(taken), {"name": name, "uuid": uuid}):
            raise InvalidArgument(f"an account with name {name!r} exists")
    row = connection.execute(
        text(
            "UPDATE accounts SET name = COALESCE(:name, name), "
            "password_hash = COALESCE(:hash, password_hash), "
            "description = COALESCE(:description, description), last_op_at = clock_timestamp() "
            "WHERE uuid = :uuid RETURNING *"
        ),
        {"uuid": uuid, "name": name, "hash": password_hash, "description": description},
    ).one_or_none()
    if row is None:
        raise _not_found(uuid, "AccountVO")
    if password_hash is not None:
        end_sessions(connection, uuid, but=keep_session)
    return row


def delete_account(connection: Connection, uuid: str) -> None:
    """Gone with its users, sessions, access keys, shares, quotas, limits and long jobs. Raises
    ResourceNotFound, InvalidArgument for admin, OperationFailed while it owns anything."""
    if uuid == ADMIN_UUID:
        raise InvalidArgument("the account admin cannot be deleted")
    # Its row is held: no clone job of it is judged meanwhile, and none is afterwards.
    held = connection.execute(
        text("SELECT name FROM accounts WHERE uuid = :uuid FOR UPDATE"), {"uuid": uuid}
    ).one_or_none()
    if held is None:
        raise _not_found(uuid, "AccountVO")
    owned = _owned(connection, uuid)
    if owned:
        raise OperationFailed(
            f"account[uuid:{uuid}, name:{held.name}] cannot be deleted, it still has "
            f"{', '.join(owned)}: expunge those VMs, wait for the jobs or cancel them, then delete "
            "it again"
        )
    for table in ("quotas", "long_jobs"):
        connection.execute(
            text(f"DELETE FROM {table} WHERE account_uuid = :uuid"),  # noqa: S608
            {"uuid": uuid},
        )
    connection.execute(
        text("DELETE FROM limits WHERE scope = 'account' AND resource_uuid = :uuid"),
        {"uuid": uuid},
    )
    connection.execute(text("DELETE FROM accounts WHERE uuid = :uuid"), {"uuid": uuid})


def _owned(connection: Connection, uuid: str) -> list[str]:
    """What keeps the account, each with its name or uuid."""
    questions = (
        ("VM", "SELECT name FROM vm_instances WHERE account_uuid = :uuid ORDER BY created_at"),
        (
            "volume",
            "SELECT name FROM volumes WHERE account_uuid = :uuid AND NOT EXISTS (SELECT 1 FROM "
            "vm_instances v WHERE v.uuid = vm_instance_uuid AND v.account_uuid = :uuid) "
            "ORDER BY created_at",
        ),
        (
            "job",
            "SELECT uuid FROM jobs WHERE account_uuid = :uuid AND state <> 'Finished' "
            "ORDER BY created_at",
        ),
    )
    owned = []
    for kind, question in questions:
        names = connection.execute(text(question), {"uuid": uuid}).scalars().all()
        owned += [f"{kind} {name}" for name in names[:SHOWN]]
        if len(names) > SHOWN:
            owned.append(f"{len(names) - SHOWN} more {kind}s")
    return owned


def find_account(connection: Connection, given: str) -> Row[Any]:
    """By uuid or name. Raises ResourceNotFound."""
    row = connection.execute(
        text("SELECT * FROM accounts WHERE uuid = :given OR name = :given ORDER BY uuid <> :given"),
        {"given": given},
    ).first()
    if row is None:
        raise ResourceNotFound(f"there is no account with the name or uuid {given}")
    return row


def list_accounts(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(
        text("SELECT uuid, name, type::text, description FROM accounts ORDER BY name")
    ).all()


def create_user(
    connection: Connection,
    account_uuid: str,
    *,
    name: str,
    password_hash: str,
    description: str | None = None,
    uuid: str | None = None,
) -> Row[Any]:
    """The new row. Raises InvalidArgument where the account has a user of that name."""
    row = connection.execute(
        text(
            "INSERT INTO users (uuid, account_uuid, name, password_hash, description) "
            "VALUES (:uuid, :account, :name, :hash, :description) ON CONFLICT DO NOTHING "
            "RETURNING *"
        ),
        {
            "uuid": uuid or uuid4().hex,
            "account": account_uuid,
            "name": name,
            "hash": password_hash,
            "description": description,
        },
    ).one_or_none()
    if row is None:
        raise InvalidArgument(
            f"unable to create a user. A user with name {name!r} of account[uuid:{account_uuid}] "
            "exists"
        )
    return row


def update_user(
    connection: Connection,
    uuid: str,
    *,
    account_uuid: str | None,
    name: str | None = None,
    password_hash: str | None = None,
    description: str | None = None,
    keep_session: str | None = None,
) -> Row[Any]:
    """As `update_account`; `account_uuid` None: any account's."""
    found = connection.execute(
        text(
            "SELECT account_uuid FROM users WHERE uuid = :uuid "
            "AND (CAST(:account AS text) IS NULL OR account_uuid = :account)"
        ),
        {"uuid": uuid, "account": account_uuid},
    ).one_or_none()
    if found is None:
        raise _not_found(uuid, "UserVO")
    if name is not None:
        taken = "SELECT 1 FROM users WHERE account_uuid = :a AND name = :name AND uuid <> :uuid"
        given = {"a": found.account_uuid, "name": name, "uuid": uuid}
        if connection.scalar(text(taken), given):
            raise InvalidArgument(f"a user with name {name!r} exists")
    row = connection.execute(
        text(
            "UPDATE users SET name = COALESCE(:name, name), "
            "password_hash = COALESCE(:hash, password_hash), "
            "description = COALESCE(:description, description), last_op_at = clock_timestamp() "
            "WHERE uuid = :uuid RETURNING *"
        ),
        {"uuid": uuid, "name": name, "hash": password_hash, "description": description},
    ).one()
    if password_hash is not None:
        end_sessions(connection, uuid, but=keep_session)
    return row


def delete_user(connection: Connection, uuid: str, *, account_uuid: str | None) -> None:
    """Gone with its sessions and access keys; an unknown one is gone already. `account_uuid` None:
    any account's."""
    gone = connection.execute(
        text(
            "DELETE FROM users WHERE uuid = :uuid "
            "AND (CAST(:account AS text) IS NULL OR account_uuid = :account)"
        ),
        {"uuid": uuid, "account": account_uuid},
    ).rowcount
    if gone:
        end_sessions(connection, uuid)
        connection.execute(text("DELETE FROM access_keys WHERE user_uuid = :uuid"), {"uuid": uuid})


def require_user(connection: Connection, account_uuid: str, user_uuid: str) -> None:
    """The account exists and the user is its own, or the account itself. Raises
    ResourceNotFound."""
    question = "SELECT 1 FROM accounts WHERE uuid = :account FOR KEY SHARE"
    if not connection.scalar(text(question), {"account": account_uuid}):
        raise _not_found(account_uuid, "AccountVO", field="accountUuid")
    if user_uuid == account_uuid:
        return
    question = "SELECT 1 FROM users WHERE uuid = :user AND account_uuid = :account"
    if not connection.scalar(text(question), {"user": user_uuid, "account": account_uuid}):
        raise _not_found(user_uuid, "UserVO", field="userUuid")


def _not_found(uuid: str, kind: str, *, field: str = "uuid") -> ResourceNotFound:
    return ResourceNotFound(f"invalid field[{field}], resource[uuid:{uuid}, type:{kind}] not found")
