"""Limits as the scheduler reads them and operators write them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from app.domain.errors import InvalidArgument, ResourceNotFound
from app.store.models.limits import DEFAULT, LIMITS, LimitName, LimitScope

SLOWEST_BYTES_S = 1 << 20  # slower ones would look as if they hung
_TABLES = {
    LimitScope.HOST: "hosts",
    LimitScope.PRIMARY_STORAGE: "primary_storages",
    LimitScope.SOURCE: "vm_instances",
    LimitScope.ACCOUNT: "accounts",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """By scope, resource ("" for the default) and name."""

    values: dict[tuple[str, str, str], int]

    def of(
        self, scope: LimitScope, resource_uuid: str, name: LimitName, otherwise: int | None = None
    ) -> int | None:
        own = self.values.get((scope, resource_uuid, name))
        return own if own is not None else self.values.get((scope, DEFAULT, name), otherwise)


def load(connection: Connection) -> Limits:
    rows = connection.execute(
        text("SELECT scope::text, resource_uuid, name::text, value FROM limits")
    ).all()
    return Limits({(row.scope, row.resource_uuid, row.name): row.value for row in rows})


def find_resource(connection: Connection, scope: LimitScope, given: str) -> str:
    """The uuid of what has this uuid or, alone, this name. Raises ResourceNotFound,
    InvalidArgument for a name that several have."""
    rows = connection.execute(
        text(f"SELECT uuid FROM {_TABLES[scope]} WHERE uuid = :given OR name = :given LIMIT 2"),  # noqa: S608
        {"given": given},
    ).scalars()
    found = list(rows)
    if not found:
        raise ResourceNotFound(f"there is no {scope} with the name or uuid {given}")
    if len(found) > 1:
        raise InvalidArgument(f"several have the name {given}: give the uuid")
    return str(found[0])


def check_name(scope: LimitScope, name: LimitName) -> None:
    """Raises InvalidArgument."""
    if name not in LIMITS[scope]:
        raise InvalidArgument(f"a {scope} is limited in {' and '.join(LIMITS[scope])}")


def put(
    connection: Connection, scope: LimitScope, resource_uuid: str, name: LimitName, value: int
) -> None:
    check_name(scope, name)
    if not 0 <= value < 2**63:
        raise InvalidArgument("a limit is 0 or more; unset it to have none")
    if name is LimitName.BYTES_PER_SECOND and value < SLOWEST_BYTES_S:
        raise InvalidArgument(
            f"bytesPerSecond is {SLOWEST_BYTES_S} (1 MiB) or more; to stop full copies set "
            "fullCopies to 0"
        )
    connection.execute(
        text(
            "INSERT INTO limits (scope, resource_uuid, name, value) "
            "VALUES (:scope, :resource, :name, :value) "
            "ON CONFLICT (scope, resource_uuid, name) DO UPDATE SET value = excluded.value"
        ),
        {"scope": scope, "resource": resource_uuid, "name": name, "value": value},
    )


def remove(connection: Connection, scope: LimitScope, resource_uuid: str, name: LimitName) -> bool:
    """False if there was none."""
    check_name(scope, name)
    return bool(
        connection.execute(
            text(
                "DELETE FROM limits WHERE scope = :scope AND resource_uuid = :resource "
                "AND name = :name"
            ),
            {"scope": scope, "resource": resource_uuid, "name": name},
        ).rowcount
    )


def shown(connection: Connection) -> list[dict[str, Any]]:
    """Every limit with its resource's name; the defaults first."""
    names = " UNION ALL ".join(f"SELECT uuid, name FROM {table}" for table in _TABLES.values())  # noqa: S608
    rows = connection.execute(
        text(
            "SELECT l.scope::text, NULLIF(l.resource_uuid, '') AS uuid, n.name AS resource, "  # noqa: S608
            f"l.name::text, l.value FROM limits l LEFT JOIN ({names}) n "
            "ON n.uuid = l.resource_uuid ORDER BY l.scope, l.resource_uuid, l.name"
        )
    ).all()
    return [dict(row._mapping) for row in rows]


# Beside an item's heartbeat: what its copies may move a second, the storage's limit shared among
# the copies that are under way there. The slowest of its storages counts.
RATE = (
    "CASE WHEN items.bytes_total > 0 THEN (SELECT min(l.value / GREATEST(1, (SELECT "
    " count(DISTINCT o.uuid) FROM volumes w JOIN items o ON o.vm_uuid = w.vm_instance_uuid "
    " WHERE w.primary_storage_uuid = v.primary_storage_uuid AND w.method = 'full' "
    " AND w.status = 'Creating' AND o.state = 'Running'))) "
    "FROM volumes v JOIN LATERAL (SELECT value FROM limits "
    " WHERE scope = 'primaryStorage' AND name = 'bytesPerSecond' "
    " AND resource_uuid IN (v.primary_storage_uuid, '') ORDER BY resource_uuid DESC LIMIT 1) l "
    "ON TRUE WHERE v.vm_instance_uuid = items.vm_uuid AND v.method = 'full' "
    "AND v.status = 'Creating') END AS rate_bytes_s"
)
# The same beside a base set's, which is a copy of its own on each of its storages.
BASE_RATE = (
    "(SELECT min(l.value) FROM bases b JOIN LATERAL (SELECT value FROM limits "
    " WHERE scope = 'primaryStorage' AND name = 'bytesPerSecond' "
    " AND resource_uuid IN (b.primary_storage_uuid, '') ORDER BY resource_uuid DESC LIMIT 1) l "
    "ON TRUE WHERE b.base_set_uuid = base_sets.uuid) AS rate_bytes_s"
)
