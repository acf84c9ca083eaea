"""VM instances as they are read: with their NICs, addresses, volumes and drives, in a constant
number of statements however many there are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.vm_query import Comparison, VmQuery
from app.store import shares
from app.store.models import VmInstance

PAGE = 5000  # uuids a statement


@dataclass(slots=True)
class NicView:
    row: Row[Any]
    used_ips: list[Row[Any]] = field(default_factory=list)


@dataclass(slots=True)
class VmView:
    row: Row[Any]
    nics: list[NicView] = field(default_factory=list)
    volumes: list[Row[Any]] = field(default_factory=list)
    cdroms: list[Row[Any]] = field(default_factory=list)

    @property
    def uuid(self) -> str:
        return str(self.row.uuid)


def load_vms(connection: Connection, uuids: Sequence[str]) -> list[VmView]:
    """In the order of `uuids`; those that do not exist are left out."""
    views: dict[str, VmView] = {}
    for start in range(0, len(uuids), PAGE):
        views |= _load_page(connection, list(uuids[start : start + PAGE]))
    return [views[uuid] for uuid in uuids if uuid in views]


def _load_page(connection: Connection, uuids: list[str]) -> dict[str, VmView]:
    def rows(query: str) -> Sequence[Row[Any]]:
        return connection.execute(text(query), {"uuids": uuids}).all()

    views = {
        row.uuid: VmView(row) for row in rows("SELECT * FROM vm_instances WHERE uuid = ANY(:uuids)")
    }
    used_ips: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows(
        "SELECT u.* FROM used_ips u JOIN vm_nics n ON n.uuid = u.vm_nic_uuid "
        "WHERE n.vm_instance_uuid = ANY(:uuids) ORDER BY u.ip_version, u.created_at"
    ):
        used_ips[row.vm_nic_uuid].append(row)
    for row in rows(
        "SELECT n.*, v.hypervisor_type FROM vm_nics n "
        "JOIN vm_instances v ON v.uuid = n.vm_instance_uuid "
        "WHERE n.vm_instance_uuid = ANY(:uuids) ORDER BY n.device_id"
    ):
        views[row.vm_instance_uuid].nics.append(NicView(row, used_ips[row.uuid]))
    for row in rows(
        "SELECT * FROM volumes WHERE vm_instance_uuid = ANY(:uuids) "
        "ORDER BY type <> 'Root', device_id, uuid"
    ):
        views[row.vm_instance_uuid].volumes.append(row)
    for row in rows(
        "SELECT * FROM vm_cdroms WHERE vm_instance_uuid = ANY(:uuids) ORDER BY device_id"
    ):
        views[row.vm_instance_uuid].cdroms.append(row)
    return views


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    vms: list[VmView]
    total: int | None


def query_vms(connection: Connection, query: VmQuery, *, account_uuid: str | None) -> QueryAnswer:
    """`account_uuid` None sees all. Conditions become SQL by parameters only."""
    where, parameters = _conditions(query.conditions, account_uuid)
    total = None
    if query.with_total or query.count_only:
        total = connection.scalar(
            text(f"SELECT count(*) FROM vm_instances WHERE {where}"),  # noqa: S608
            parameters,
        )
    if query.count_only:
        return QueryAnswer([], total)
    order = "created_at, uuid"
    if query.sort:
        order = f"{query.sort.column} {'DESC' if query.sort.descending else 'ASC'}, uuid"
    uuids = connection.execute(
        text(
            f"SELECT uuid FROM vm_instances WHERE {where} "  # noqa: S608
            f"ORDER BY {order} LIMIT :limit OFFSET :start"
        ),
        parameters | {"limit": query.limit, "start": query.start},
    ).scalars()
    return QueryAnswer(load_vms(connection, list(uuids)), total)


def _conditions(
    conditions: Sequence[Comparison], account_uuid: str | None
) -> tuple[str, dict[str, Any]]:
    clauses = ["TRUE"]
    parameters: dict[str, Any] = {}
    if account_uuid is not None:
        shared = shares.visible("VmInstanceVO", "vm_instances.uuid", ":account_uuid")
        clauses.append(f"(account_uuid = :account_uuid OR {shared})")
        parameters["account_uuid"] = account_uuid
    for number, condition in enumerate(conditions):
        # Column names come from a fixed table of ours, never from the caller.
        assert condition.column in VmInstance.model_fields
        column = f"{condition.column}::text" if condition.is_text else condition.column
        name = f"value_{number}"
        given = f"CAST(:{name} AS {_sql_type(condition)})"
        match condition.operator:
            case "is null" | "not null":
                negation = " NOT" if condition.operator == "not null" else ""
                clauses.append(f"{condition.column} IS{negation} NULL")
                continue
            case "?=" | "!?=":
                clause = f"{column} = ANY({given})"
                clauses.append(f"NOT {clause}" if condition.operator == "!?=" else clause)
            case "~=" | "!~=":
                negation = "NOT " if condition.operator == "!~=" else ""
                clauses.append(f"{condition.column}::text {negation}LIKE {given}")
            case _:
                sign = "<>" if condition.operator == "!=" else condition.operator
                clauses.append(f"{column} {sign} {given}")
        parameters[name] = condition.value
    return " AND ".join(clauses), parameters


def _sql_type(condition: Comparison) -> str:
    """Of the compared value, since a driver would take an integer for a small one."""
    value = condition.value[0] if isinstance(condition.value, list) else condition.value
    kind = {int: "bigint", datetime: "timestamptz"}.get(type(value), "text")
    return f"{kind}[]" if isinstance(condition.value, list) else kind
