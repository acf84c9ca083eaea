"""Keeps host capacities true: declared sizes, and what running adopted VMs hold of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text
from sqlmodel import col

from app.store import capacity
from app.store.capacity import Holding
from app.store.inventory.rows import Conflict
from app.store.inventory.values import DeclaredVm, Host, Inventory, Kind
from app.store.models import HostCapacity, Reservation, ReservationKind, VmState


@dataclass(frozen=True, slots=True)
class Overprovisioning:
    cpu: float
    memory: float

    def totals(self, host: Host) -> dict[ReservationKind, int]:
        return {
            ReservationKind.CPU: int(host.cpu_num * self.cpu),
            ReservationKind.MEMORY: int(host.memory_size * self.memory),
        }


def write_holdings(
    connection: Connection, inventory: Inventory, overprovisioning: Overprovisioning
) -> list[Conflict]:
    """Hosts have what is declared, running VMs hold their share, the rest is available."""
    hosts = {host.uuid: host for host in inventory.hosts.values()}
    hosts |= {vm.host.uuid: vm.host for vm in inventory.vms.values()}
    moved = _moved(connection, list(inventory.vms.values()))
    capacity.release(connection, [vm.uuid for vm in moved])
    wanted = [holding for vm in moved for holding in _wanted(vm)]
    # The rows are held first, so that a release that ends now is either counted or waits.
    _hold_rows(connection, hosts)
    conflicts = _set_totals(connection, hosts, wanted, overprovisioning)
    if not conflicts:
        capacity.reserve(connection, wanted)
    return conflicts


def _wanted(vm: DeclaredVm) -> list[Holding]:
    if vm.state is not VmState.RUNNING:
        return []
    return [
        Holding(ReservationKind.CPU, vm.host.uuid, vm.uuid, vm.cpu_num),
        Holding(ReservationKind.MEMORY, vm.host.uuid, vm.uuid, vm.memory_size),
    ]


def _moved(connection: Connection, vms: Sequence[DeclaredVm]) -> list[DeclaredVm]:
    """Those that hold something else than they should."""
    held: dict[str, set[Holding]] = defaultdict(set)
    rows = connection.execute(
        select(
            col(Reservation.kind),
            col(Reservation.resource_uuid),
            col(Reservation.holder_uuid),
            col(Reservation.amount),
        ).where(col(Reservation.holder_uuid).in_([vm.uuid for vm in vms]))
    )
    for row in rows:
        held[row.holder_uuid].add(Holding(*row))
    return [vm for vm in vms if held[vm.uuid] != set(_wanted(vm))]


def _hold_rows(connection: Connection, host_uuids: Iterable[str]) -> None:
    uuids = sorted(host_uuids)
    connection.execute(
        text(
            "INSERT INTO host_capacities (host_uuid, total_cpu, available_cpu, total_memory, "
            "available_memory) SELECT uuid, 0, 0, 0, 0 FROM unnest(CAST(:uuids AS text[])) "
            "AS given(uuid) ORDER BY uuid ON CONFLICT DO NOTHING"
        ),
        {"uuids": uuids},
    )
    connection.execute(
        select(col(HostCapacity.host_uuid))
        .where(col(HostCapacity.host_uuid).in_(uuids))
        .order_by(col(HostCapacity.host_uuid))
        .with_for_update()
    )


def _set_totals(
    connection: Connection,
    hosts: dict[str, Host],
    wanted: Sequence[Holding],
    overprovisioning: Overprovisioning,
) -> list[Conflict]:
    held = {
        (row.resource_uuid, row.kind): int(row.amount)
        for row in connection.execute(
            select(
                col(Reservation.resource_uuid),
                col(Reservation.kind),
                func.sum(col(Reservation.amount)).label("amount"),
            )
            .where(col(Reservation.resource_uuid).in_(hosts))
            .group_by(col(Reservation.resource_uuid), col(Reservation.kind))
        )
    }
    conflicts = []
    for host in hosts.values():
        totals = overprovisioning.totals(host)
        left = {kind: total - held.get((host.uuid, kind), 0) for kind, total in totals.items()}
        for kind, amount in left.items():
            needed = sum(h.amount for h in wanted if (h.resource_uuid, h.kind) == (host.uuid, kind))
            if amount < needed:
                conflicts.append(
                    _too_small(host, kind, totals[kind], totals[kind] - amount + needed)
                )
        if not conflicts:
            _set_total(connection, host, totals, left)
    return conflicts


def _set_total(
    connection: Connection,
    host: Host,
    totals: dict[ReservationKind, int],
    left: dict[ReservationKind, int],
) -> None:
    connection.execute(
        text(
            "UPDATE host_capacities SET total_cpu = :total_cpu, available_cpu = :cpu, "
            "total_memory = :total_memory, available_memory = :memory WHERE host_uuid = :uuid"
        ),
        {
            "uuid": host.uuid,
            "total_cpu": totals[ReservationKind.CPU],
            "cpu": left[ReservationKind.CPU],
            "total_memory": totals[ReservationKind.MEMORY],
            "memory": left[ReservationKind.MEMORY],
        },
    )


def _too_small(host: Host, kind: ReservationKind, total: int, needed: int) -> Conflict:
    unit = "CPUs" if kind is ReservationKind.CPU else "bytes of memory"
    return Conflict(
        Kind.HOST,
        host.name,
        f"has {total} {unit} with over-provisioning, its running VMs need {needed}",
    )
