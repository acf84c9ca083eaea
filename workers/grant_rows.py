"""The rows of grants: VMs, volumes, NICs and addresses, what they reserve, and items that begin."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from app.domain.plan import ClonePlan, CloneStrategy, NicPlan, VolumeType
from app.domain.spec import CloneSpec
from app.domain.steps import StepName
from app.store import capacity, grants, sources
from app.store.capacity import Holding
from app.store.codec import plan_to_json
from app.store.grants import GrantRows
from app.store.models import NicState, Origin, ReservationKind, VmState, VolumeStatus
from app.store.nic_planning import Taken
from app.store.planning import Grant, JobPlanner


def write(connection: Connection, made: Sequence[tuple[JobPlanner, Grant]]) -> None:
    """Of one batch, and what they reserve."""
    if not made:
        return
    rows = GrantRows()
    holdings: list[Holding] = []
    templates: dict[str, dict[str, Any]] = {}
    for planner, grant in made:
        source_uuid = planner.source.uuid
        if source_uuid not in templates:
            templates[source_uuid] = sources.row_to_clone(connection, source_uuid)
        _add_rows(rows, planner, grant, templates[source_uuid])
        holdings += _holdings(grant)
    grants.write(connection, rows, worker="scheduler")
    capacity.reserve(connection, holdings)


def description(spec: CloneSpec) -> dict[str, Any]:
    return {} if spec.description is None else {"description": spec.description}


def _holdings(grant: Grant) -> Iterator[Holding]:
    plan = grant.plan
    if grant.holds_host:
        yield Holding(ReservationKind.CPU, plan.host.uuid, plan.vm_uuid, plan.cpu_num)
        yield Holding(ReservationKind.MEMORY, plan.host.uuid, plan.vm_uuid, plan.memory_size)
    for volume, amount in zip(plan.volumes, grant.storage_bytes, strict=True):
        yield Holding(ReservationKind.STORAGE, volume.storage.uuid, volume.uuid, amount)


def _add_rows(rows: GrantRows, planner: JobPlanner, grant: Grant, template: dict[str, Any]) -> None:
    plan, account_uuid = grant.plan, planner.account_uuid
    starts = plan.strategy is CloneStrategy.INSTANT_START
    placed: dict[str, Any] = {
        "uuid": plan.vm_uuid,
        "cluster_uuid": grant.host.cluster_uuid,
        "host_uuid": plan.host.uuid if starts else None,
        "last_host_uuid": plan.host.uuid,
        "root_volume_uuid": plan.root_volume.uuid,
        "default_l3_network_uuid": next(
            (nic.l3_network_uuid for nic in plan.nics if nic.is_default), None
        ),
        "state": VmState.STARTING if starts else VmState.CREATED,
    }
    if planner.first_start:
        rows.records.append(placed | {"cpu_num": plan.cpu_num, "memory_size": plan.memory_size})
    else:
        rows.vms.append(
            template
            | {
                "internal_id": grant.internal_id,
                "name": plan.vm_name,
                "account_uuid": account_uuid,
            }
            | placed
            | description(planner.spec)
        )
    rows.volumes += _volume_rows(planner, plan)
    for address in grant.addresses:
        nic = address.nic
        rows.nics.append(
            {
                "uuid": nic.uuid,
                "vm_instance_uuid": plan.vm_uuid,
                "l3_network_uuid": nic.l3_network_uuid,
                "mac": nic.mac,
                "internal_name": nic.internal_name,
                "device_id": nic.device_id,
                "driver_type": nic.driver_type,
                "state": NicState.ENABLE if nic.link_up else NicState.DISABLE,
                "meta_data": nic.meta_data,
            }
        )
        rows.used_ips += [_used_ip_row(nic, taken) for taken in address.taken]
    rows.items.append(
        {
            "uuid": grant.item.uuid,
            "host_uuid": plan.host.uuid,
            "plan": plan_to_json(plan),
            # What its worker begins with: the host is allocated by this grant.
            "step": StepName.COPY_ROOT_VOLUME,
            "turn": grant.turn,
            "bytes_total": grant.bytes_total,
        }
    )


def _volume_rows(planner: JobPlanner, plan: ClonePlan) -> Iterator[dict[str, Any]]:
    names = _volume_names(planner, plan)
    for number, (volume, name) in enumerate(zip(plan.volumes, names, strict=True)):
        base = planner.bases[number] if number < len(planner.bases) else None
        new = None if base else planner.spec.disks[number - len(planner.bases)]
        root = volume is plan.root_volume
        yield {
            "uuid": volume.uuid,
            "name": name,
            "description": f"Root volume for VM[uuid:{plan.vm_uuid}]"
            if root
            else f"DataVolume-{plan.vm_uuid}",
            "account_uuid": planner.account_uuid,
            "vm_instance_uuid": plan.vm_uuid,
            "primary_storage_uuid": volume.storage.uuid,
            "disk_offering_uuid": new.offering_uuid if new else base and base.disk_offering_uuid,
            "root_image_uuid": base and base.root_image_uuid,
            "install_path": volume.path,
            "type": volume.type,
            "format": volume.format,
            "size": volume.size,
            "device_id": volume.device_id,
            "status": VolumeStatus.CREATING,
            "origin": Origin.CLONED,
            "method": volume.method,
            "base_uuid": volume.base and volume.base.uuid,
        }


def _volume_names(planner: JobPlanner, plan: ClonePlan) -> Iterator[str]:
    """ZStack's, where the request gives none."""
    spec = planner.spec
    for base in planner.bases:
        kind = "ROOT" if base.type is VolumeType.ROOT else "DATA"
        wish = spec.wish(base.type, base.volume_uuid)
        yield wish.name or f"{kind}-for-{plan.vm_name}"
    for number, disk in enumerate(spec.disks, start=1):
        yield disk.name or f"DATA-for-{plan.vm_name}-{number}"


def _used_ip_row(nic: NicPlan, taken: Taken) -> dict[str, Any]:
    free = taken.free
    return {
        "uuid": uuid4().hex,
        "ip_range_uuid": free.address_range and free.address_range.uuid,
        "l3_network_uuid": nic.l3_network_uuid,
        "vm_nic_uuid": nic.uuid,
        "ip_version": free.version,
        "ip": free.ip,
        # As in ZStack: a number of IPv6 fits into no long.
        "ip_in_long": free.number if free.version == 4 else 0,
        "netmask": taken.netmask,
        "gateway": taken.gateway,
    }
