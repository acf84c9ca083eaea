"""What is under way, counted from the open items: no counter can be wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.line import Line
from app.domain.slots import Slots
from app.domain.states import WaitReason
from app.store.limits import Limits
from app.store.models import LimitName, LimitScope

Count = dict[str, dict[str, int]]  # by resource, then by account
NOBODY = ""  # the account of what is made for all


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Open items, counted from their rows: no counter can be wrong."""

    hosts: Count
    machines: Count  # full copies, and sets of bases
    storages: Count  # full copies
    sources: Count
    accounts: Count
    lines: dict[str, Line]  # by host

    @classmethod
    def load(cls, connection: Connection) -> "UnderWay":
        builds = _builds(connection)
        copies = connection.execute(
            text(
                "SELECT v.primary_storage_uuid AS storage, j.account_uuid AS account, "
                "count(DISTINCT i.uuid) AS number FROM items i JOIN jobs j ON j.uuid = i.job_uuid "
                "JOIN volumes v ON v.vm_instance_uuid = i.vm_uuid AND v.method = 'full' "
                "AND v.status = 'Creating' WHERE i.bytes_total > 0 "
                "AND i.state IN ('Granted', 'Running', 'RollingBack') "
                "GROUP BY v.primary_storage_uuid, j.account_uuid"
            )
        ).all()
        bases = connection.execute(
            text(
                "SELECT COALESCE(h.machine_id, h.uuid) AS machine, count(*) AS number "
                "FROM base_sets b JOIN hosts h ON h.uuid = b.host_uuid "
                "WHERE b.state = 'Making' GROUP BY machine"
            )
        ).all()
        counted = cls({}, {}, {}, {}, {}, _lines(builds))
        for row in builds:
            _add(counted.hosts, row.host_uuid, row.account, row.number)
            _add(counted.sources, row.source, row.account, row.number)
            _add(counted.accounts, row.account, row.account, row.number)
            _add(counted.machines, row.machine, row.account, row.copies)
        for row in bases:
            _add(counted.machines, row.machine, NOBODY, row.number)
        for row in copies:
            _add(counted.storages, row.storage, row.account, row.number)
        return counted


def lines(connection: Connection) -> dict[str, Line]:
    """By host; one that nothing is granted to has none."""
    return _lines(_builds(connection))


def _builds(connection: Connection) -> Sequence[Row[Any]]:
    """Each account's open items of each source on each host."""
    return connection.execute(
        text(
            "SELECT i.host_uuid, j.vm_instance_uuid AS source, j.account_uuid AS account, "
            "COALESCE(h.machine_id, h.uuid) AS machine, count(*) AS number, "
            "count(*) FILTER (WHERE i.bytes_total > 0) AS copies, "
            "min(i.turn) FILTER (WHERE i.state = 'Granted') AS first, max(i.turn) AS last "
            "FROM items i JOIN jobs j ON j.uuid = i.job_uuid "
            "JOIN hosts h ON h.uuid = i.host_uuid "
            "WHERE i.state IN ('Granted', 'Running', 'RollingBack') "
            "GROUP BY i.host_uuid, j.vm_instance_uuid, j.account_uuid, machine"
        )
    ).all()


def _lines(builds: Sequence[Row[Any]]) -> dict[str, Line]:
    by_host: dict[str, Line] = {}
    for row in builds:
        first = row.last if row.first is None else row.first
        line = by_host.setdefault(row.host_uuid, Line(first))
        line.now = min(line.now, first)
        line.last[row.account] = max(line.last.get(row.account, row.last), row.last)
    return by_host


def _add(count: Count, resource: str, account: str, number: int) -> None:
    by_account = count.setdefault(resource, {})
    by_account[account] = by_account.get(account, 0) + number


class Family:
    """The slots of resources that come up as they are asked for."""

    def __init__(
        self, set_limits: Limits, scope: LimitScope, full: WaitReason, taken: Count
    ) -> None:
        self._limits = set_limits
        self._scope = scope
        self._full = full
        self._taken = taken
        self._slots: dict[str, Slots] = {}

    def __getitem__(self, resource_uuid: str) -> Slots:
        if resource_uuid not in self._slots:
            self._slots[resource_uuid] = Slots(
                limit=self._limits.of(self._scope, resource_uuid, LimitName.BUILDS),
                full=self._full,
                taken=self._taken.get(resource_uuid, {}),
                keeps_last=self._scope is not LimitScope.ACCOUNT,
            )
        return self._slots[resource_uuid]
