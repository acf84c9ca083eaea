"""Quotas: how much an account may have, what it has, and whether a request still fits.

What a request asks for counts from the moment it is judged: names that wait count by what their
job noted for each of them, names that are granted by their VM's and volumes' own rows, which
appear in the same commit. One statement sees both, so that nothing counts twice or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from app.domain.errors import InvalidQuota, PermissionDenied, QuotaExceeded, ResourceNotFound
from app.store.models.identity import EVERY_ACCOUNT, AccountType, QuotaName

UNLIMITED = -1
Amounts = Mapping[QuotaName, int]

# States of a VM whose CPUs and memory count; a clone that will be started is Starting until it is.
_AT_REST = "('Created', 'Stopped', 'Destroying', 'Destroyed', 'Expunging')"
_GONE = "('Destroyed', 'Expunging')"

_USED = f"""
WITH vms AS (
    SELECT count(*) FILTER (WHERE state NOT IN {_GONE}) AS total,
        count(*) FILTER (WHERE state NOT IN {_AT_REST}) AS running,
        sum(cpu_num) FILTER (WHERE state NOT IN {_AT_REST}) AS cpu,
        sum(memory_size) FILTER (WHERE state NOT IN {_AT_REST}) AS memory
    FROM vm_instances WHERE account_uuid = :account
), disks AS (
    SELECT count(*) FILTER (WHERE v.type = 'Data') AS number, sum(v.size) AS bytes
    FROM volumes v WHERE v.account_uuid = :account AND v.status <> 'Deleted'
), waiting AS (
    SELECT need.key AS name, sum(need.value::bigint * w.names) AS amount
    FROM jobs j
    CROSS JOIN LATERAL (SELECT count(*) AS names FROM items i
        WHERE i.job_uuid = j.uuid AND i.state = 'Waiting') w
    CROSS JOIN LATERAL jsonb_each_text(j.quota_need) need
    WHERE j.account_uuid = :account AND j.state = 'Running' AND w.names > 0
    GROUP BY need.key
), used(name, amount) AS (
    SELECT '{QuotaName.VM_TOTAL_NUM}', total FROM vms
    UNION ALL SELECT '{QuotaName.VM_NUM}', running FROM vms
    UNION ALL SELECT '{QuotaName.VM_CPU_NUM}', cpu FROM vms
    UNION ALL SELECT '{QuotaName.VM_MEMORY_SIZE}', memory FROM vms
    UNION ALL SELECT '{QuotaName.DATA_VOLUME_NUM}', number FROM disks
    UNION ALL SELECT '{QuotaName.VOLUME_CAPACITY}', bytes FROM disks
    UNION ALL SELECT name, amount FROM waiting
)
SELECT name, COALESCE(sum(amount), 0)::bigint AS amount FROM used GROUP BY name
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Usage:
    name: QuotaName
    total: int  # the limit; -1: none
    used: int


def usages(connection: Connection, account_uuid: str) -> list[Usage]:
    """Every quota of the account, in ZStack's order."""
    limits = _limits(connection, account_uuid)
    used = _used(connection, account_uuid)
    return [Usage(name, limits.get(name, UNLIMITED), used[name]) for name in QuotaName]


def check(connection: Connection, account_uuid: str, request: Amounts) -> None:
    """The account may have so much more, and until the end of this transaction nobody else is told
    so for it. Administrators are exempt.

    Raises QuotaExceeded with the numbers, PermissionDenied where the account is gone.
    """
    # Held against its deletion, which is for whoever owns nothing.
    account = connection.execute(
        text("SELECT name, type::text FROM accounts WHERE uuid = :uuid FOR KEY SHARE"),
        {"uuid": account_uuid},
    ).one_or_none()
    if account is None:
        raise PermissionDenied(f"account[uuid:{account_uuid}] was deleted")
    if account.type == AccountType.SYSTEM_ADMIN:
        return
    limits = _limits(connection, account_uuid)
    if all(limits.get(name, UNLIMITED) == UNLIMITED for name in request):
        return
    # Held by one at a time: two requests of an account are counted one after the other.
    connection.execute(
        text("SELECT 1 FROM accounts WHERE uuid = :uuid FOR NO KEY UPDATE"),
        {"uuid": account_uuid},
    )
    used = _used(connection, account_uuid)
    for name in QuotaName:
        limit, asked = limits.get(name, UNLIMITED), request.get(name, 0)
        if limit != UNLIMITED and asked and used[name] + asked > limit:
            raise QuotaExceeded(
                f"quota exceeding. The account[uuid: {account_uuid} name: {account.name}] exceeds "
                f"a quota[name: {name}, value: {limit}], Current used:{used[name]}, "
                f"Request:{asked}. Please contact the administrator.",
                account=account_uuid,
                quota=str(name),
                limit=limit,
                used=used[name],
                requested=asked,
            )


def note_need(connection: Connection, job_uuid: str, of_each_name: Amounts) -> None:
    """What each of the job's names counts while it waits."""
    connection.execute(
        text("UPDATE jobs SET quota_need = CAST(:need AS jsonb) WHERE uuid = :job"),
        {
            "job": job_uuid,
            "need": orjson.dumps(
                {str(name): amount for name, amount in of_each_name.items()}
            ).decode(),
        },
    )


def put(connection: Connection, account_uuid: str, name: str, value: int) -> Row[Any]:
    """The new row, of an account or of EVERY_ACCOUNT without one of its own. Raises InvalidQuota,
    ResourceNotFound."""
    quota = parse_name(name)
    if not UNLIMITED <= value < 2**63:
        raise InvalidQuota(f"a quota is 0 or more, or {UNLIMITED} for no limit, but was {value}")
    known = "SELECT 1 FROM accounts WHERE uuid = :uuid"
    if account_uuid != EVERY_ACCOUNT and not connection.scalar(text(known), {"uuid": account_uuid}):
        raise ResourceNotFound(
            f"invalid field[identityUuid], resource[uuid:{account_uuid}, type:AccountVO] not found"
        )
    return connection.execute(
        text(
            "INSERT INTO quotas (account_uuid, name, value) VALUES (:account, :name, :value) "
            "ON CONFLICT (account_uuid, name) DO UPDATE SET value = excluded.value, "
            "last_op_at = clock_timestamp() RETURNING *"
        ),
        {"account": account_uuid, "name": quota, "value": value},
    ).one()


def parse_name(name: str) -> QuotaName:
    """Raises InvalidQuota."""
    try:
        return QuotaName(name)
    except ValueError:
        raise InvalidQuota(f"{name!r} is no quota; there are {', '.join(QuotaName)}") from None


def _limits(connection: Connection, account_uuid: str) -> dict[str, int]:
    """By name: the account's own, else the default."""
    rows = connection.execute(
        text(
            "SELECT DISTINCT ON (name) name, value FROM quotas "
            "WHERE account_uuid IN (:account, :every) ORDER BY name, account_uuid DESC"
        ),
        {"account": account_uuid, "every": EVERY_ACCOUNT},
    ).all()
    return {row.name: row.value for row in rows}


def _used(connection: Connection, account_uuid: str) -> dict[str, int]:
    rows = connection.execute(text(_USED), {"account": account_uuid}).all()
    return {row.name: row.amount for row in rows}
