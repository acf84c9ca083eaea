"""What accounts share: a resource stays its owner's, and who receives it may see and use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection, text

from app.domain.errors import PermissionDenied, ResourceNotFound
from app.store.accounts import ADMIN_UUID

# What can be shared: VMs, and what has no account of its own, which is admin's.
_ADMINS = {
    "L3NetworkVO": "l3_networks",
    "ImageVO": "images",
    "InstanceOfferingVO": "instance_offerings",
    "DiskOfferingVO": "disk_offerings",
}
_SHAREABLE = " UNION ALL ".join(
    [
        "SELECT 'VmInstanceVO', uuid, account_uuid FROM vm_instances",
        *(f"SELECT '{kind}', uuid, '{ADMIN_UUID}' FROM {table}" for kind, table in _ADMINS.items()),  # noqa: S608
    ]
)


def visible(kind: str, uuid: str, account: str) -> str:
    """SQL that is true where the resource whose uuid is the expression `uuid` is shared with the
    account that the expression `account` names."""
    # An array that is read once, so that a plan can begin at the uuids in it.
    return (
        f"{uuid} = ANY(ARRAY(SELECT shared.resource_uuid FROM shared_resources shared "  # noqa: S608
        f"WHERE shared.resource_type = '{kind}' "
        f"AND (shared.to_public OR shared.receiver_account_uuid = {account})))"
    )


def is_shared_with(connection: Connection, kind: str, uuid: str, account_uuid: str) -> bool:
    return bool(
        connection.scalar(
            text(f"SELECT {visible(kind, ':uuid', ':account')}"),
            {"uuid": uuid, "account": account_uuid},
        )
    )


@dataclass(frozen=True, slots=True)
class Shareable:
    kind: str
    uuid: str
    owner: str


def find(
    connection: Connection, uuids: Sequence[str], *, owner: str | None = None
) -> list[Shareable]:
    """The resources, each `owner`'s own; None: anybody's. Raises ResourceNotFound,
    PermissionDenied."""
    rows = connection.execute(
        text(
            f"SELECT * FROM ({_SHAREABLE}) AS found(kind, uuid, owner) "  # noqa: S608
            "WHERE uuid = ANY(:uuids)"
        ),
        {"uuids": list(uuids)},
    ).all()
    found = {row.uuid: Shareable(*row) for row in rows}
    for uuid in uuids:
        if uuid not in found:
            raise ResourceNotFound(
                f"invalid field[resourceUuids], resource[uuid:{uuid}, type:ResourceVO] not found; "
                f"shared can be VmInstanceVO, {', '.join(_ADMINS)}"
            )
        if owner not in (None, found[uuid].owner):
            raise PermissionDenied(
                f"resource[uuid:{uuid}] belongs to another account; only its owner or admin shares "
                "it"
            )
    return list(found.values())


def share(
    connection: Connection,
    resources: Sequence[Shareable],
    *,
    accounts: Sequence[str],
    to_public: bool,
) -> None:
    """Afterwards they are shared so; what is shared already stays. Raises ResourceNotFound for an
    unknown account."""
    _check_accounts(connection, accounts)
    receivers: list[str | None] = [*dict.fromkeys(accounts), *([None] if to_public else [])]
    rows = [
        {
            "uuid": uuid4().hex,
            "owner": resource.owner,
            "receiver": receiver,
            "public": receiver is None,
            "type": resource.kind,
            "resource": resource.uuid,
        }
        for resource in resources
        for receiver in receivers
    ]
    if rows:
        connection.execute(
            text(
                "INSERT INTO shared_resources (uuid, owner_account_uuid, receiver_account_uuid, "
                "to_public, resource_type, resource_uuid) "
                "VALUES (:uuid, :owner, :receiver, :public, :type, :resource) "
                "ON CONFLICT DO NOTHING"
            ),
            rows,
        )


def revoke(
    connection: Connection,
    resources: Sequence[Shareable],
    *,
    accounts: Sequence[str],
    to_public: bool,
    everything: bool,
) -> None:
    """Afterwards they are not shared so; `everything`: with nobody at all."""
    connection.execute(
        text(
            "DELETE FROM shared_resources WHERE resource_uuid = ANY(:resources) "
            "AND (:everything OR (:to_public AND to_public) "
            " OR receiver_account_uuid = ANY(:accounts))"
        ),
        {
            "resources": [resource.uuid for resource in resources],
            "accounts": list(accounts),
            "to_public": to_public,
            "everything": everything,
        },
    )


def _check_accounts(connection: Connection, accounts: Sequence[str]) -> None:
    known = connection.execute(
        text("SELECT uuid FROM accounts WHERE uuid = ANY(:uuids)"), {"uuids": list(accounts)}
    ).scalars()
    missing = set(accounts) - set(known)
    if missing:
        raise ResourceNotFound(
            f"invalid field[accountUuids], resource[uuid:{min(missing)}, type:AccountVO] not found"
        )
