"""One VM that is started, stopped, rebooted, recovered or updated: held, planned, done, or left as
its host has it."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Connection, Row, text

from app.domain.errors import CloneError, NoHostAvailable, OperationCanceled
from app.domain.line import Line
from app.domain.operation import OperationPlan
from app.domain.states import ItemState, JobState, WaitReason, check_move
from app.store import capacity, hosts, items, jobs, put_back, removals, under_way
from app.store.capacity import Holding
from app.store.codec import plan_to_json
from app.store.grants import SCHEDULER_LOCK
from app.store.leases import Claim
from app.store.models import JobKind, ReservationKind, VmState
from app.store.session import Database


def hold(connection: Connection, vm_uuid: str) -> Row[Any] | None:
    """The VM with its host, its row held: no other operation begins meanwhile."""
    return connection.execute(
        text(
            "SELECT v.uuid, v.name, v.state::text AS state, v.origin::text AS origin, "  # noqa: S608
            "v.account_uuid, v.host_uuid, v.cpu_num, v.memory_size, v.blueprint, v.internal_id, "
            "v.hypervisor_type::text AS hypervisor_type, v.cluster_uuid, "
            "h.uuid AS place_uuid, h.name AS place_name, h.libvirt_uri, "
            "h.cluster_uuid AS place_cluster, "
            "h.state = 'Enabled' AND c.state = 'Enabled' AS place_enabled, "
            f"{hosts.CONNECTED} AS place_connected, "
            f"{removals.BUSY} AS busy "
            "FROM vm_instances v "
            "LEFT JOIN hosts h ON h.uuid = COALESCE(v.host_uuid, v.last_host_uuid) "
            "LEFT JOIN clusters c ON c.uuid = h.cluster_uuid "
            "WHERE v.uuid = :uuid FOR UPDATE OF v"
        ),
        {"uuid": vm_uuid},
    ).one_or_none()


def lock_capacity(connection: Connection) -> None:
    """No grant is decided while this transaction lasts: what is free now is free for us."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEDULER_LOCK})


def reserve(connection: Connection, vm: Row[Any]) -> None:
    """CPU and memory of its host, before anything starts there. Raises NoHostAvailable."""
    fits = connection.scalar(
        text(
            "SELECT k.available_cpu - h.foreign_cpu >= :cpu "
            "AND k.available_memory - h.foreign_memory >= :memory "
            "FROM host_capacities k JOIN hosts h ON h.uuid = k.host_uuid WHERE h.uuid = :host"
        ),
        {"cpu": vm.cpu_num, "memory": vm.memory_size, "host": vm.place_uuid},
    )
    if not fits:
        raise NoHostAvailable(
            f"no host having cpu[{vm.cpu_num}], memory[{vm.memory_size} bytes] found: "
            f"vm[uuid:{vm.uuid}] lies on host[uuid:{vm.place_uuid}, name:{vm.place_name}], which "
            "has less; stop something there"
        )
    capacity.reserve(
        connection,
        [
            Holding(ReservationKind.CPU, vm.place_uuid, vm.uuid, vm.cpu_num),
            Holding(ReservationKind.MEMORY, vm.place_uuid, vm.uuid, vm.memory_size),
        ],
    )


def begin(
    connection: Connection, job_uuid: str, kind: JobKind, vm: Row[Any], plan: OperationPlan | None
) -> str | None:
    """The job runs with one item, granted to the VM's host, or waiting for that to be heard of
    again; without a plan all is done with this transaction. The item, if it is not."""
    check_move(JobState.ACCEPTED, JobState.RUNNING)
    check_move(ItemState.WAITING, ItemState.GRANTED)
    uuid = uuid4().hex
    state = ItemState.SUCCEEDED
    if plan is not None:
        state = ItemState.GRANTED if vm.place_connected else ItemState.WAITING
    granted = state is ItemState.GRANTED
    connection.execute(
        text(
            "UPDATE jobs SET state = 'Running', started_at = clock_timestamp(), "
            "wait_reason = :reason WHERE uuid = :job"
        ),
        {
            "job": job_uuid,
            "reason": WaitReason.HOST_LOST if state is ItemState.WAITING else None,
        },
    )
    jobs.add_event(connection, job_uuid, "job.running")
    connection.execute(
        text(
            "INSERT INTO items (uuid, job_uuid, kind, ordinal, name, state, vm_uuid, plan, step, "
            "host_uuid, turn, volume_uuids, nic_uuids, attempts, lapses, fence, bytes_done, "
            "granted_at, published_at, finished_at) "
            "VALUES (:uuid, :job, :kind, 0, :name, CAST(:state AS item_state), :vm, "
            "CAST(:plan AS jsonb), CAST(:step AS step_name), :host, :turn, '{}', '{}', 0, 0, 0, 0, "
            "CASE WHEN :state <> 'Waiting' THEN clock_timestamp() END, "
            "CASE WHEN :state <> 'Waiting' THEN clock_timestamp() END, "
            "CASE WHEN :state = 'Succeeded' THEN clock_timestamp() END)"
        ),
        {
            "uuid": uuid,
            "job": job_uuid,
            "kind": kind,
            "name": vm.name,
            "vm": vm.uuid,
            "state": state,
            "plan": plan_to_json(plan) if plan else None,
            "step": plan.steps[0] if plan else None,
            "host": plan.host.uuid if plan and granted else None,
            "turn": turn(connection, job_uuid, plan.host.uuid) if plan and granted else 0,
        },
    )
    connection.execute(
        text(
            "INSERT INTO job_counters (job_uuid, total, succeeded, failed, canceled, bytes_done) "
            "VALUES (:job, 1, :succeeded, 0, 0, 0)"
        ),
        {"job": job_uuid, "succeeded": 0 if plan else 1},
    )
    if plan is None:
        items.add_end_event(connection, job_uuid, uuid, ItemState.SUCCEEDED)
        jobs.begin_finishing(connection, job_uuid)
        return None
    return uuid


def turn(connection: Connection, job_uuid: str, host_uuid: str) -> float:
    """The place of one more item of the job in the host's line."""
    line = under_way.lines(connection).get(host_uuid) or Line()
    account, weight = removals.account_of(connection, job_uuid)
    return line.take(account, weight)


def set_state(
    connection: Connection, vm_uuid: str, state: VmState, *, host_uuid: str | None = None
) -> None:
    """`host_uuid`: where it runs from now on; None leaves that as it is."""
    connection.execute(
        text(
            "UPDATE vm_instances SET state = :state, last_op_at = clock_timestamp(), "
            "host_uuid = COALESCE(:host, host_uuid), "
            "last_host_uuid = COALESCE(:host, last_host_uuid) WHERE uuid = :uuid"
        ),
        {"state": state, "uuid": vm_uuid, "host": host_uuid},
    )


def recover(connection: Connection, vm_uuid: str) -> None:
    """A destroyed VM, whose domain, volumes and addresses were kept, is a stopped one again; a
    record is a record."""
    connection.execute(
        text(
            "UPDATE vm_instances SET destroyed_at = NULL, last_op_at = clock_timestamp(), "
            "state = CASE WHEN last_host_uuid IS NULL THEN 'Created' ELSE 'Stopped' END::vm_state "
            "WHERE uuid = :uuid"
        ),
        {"uuid": vm_uuid},
    )


def rename(connection: Connection, vm_uuid: str, changes: Mapping[str, str]) -> None:
    """`changes` of name and description."""
    connection.execute(
        text(
            "UPDATE vm_instances SET name = COALESCE(:name, name), "
            "description = COALESCE(:description, description), last_op_at = clock_timestamp() "
            "WHERE uuid = :uuid"
        ),
        {"name": None, "description": None} | dict(changes) | {"uuid": vm_uuid},
    )


def begin_first_start(
    connection: Connection, job_uuid: str, vm_uuid: str, source_uuid: str
) -> None:
    """The job, whose one item `jobs.begin` wrote, is a clone's in all but that its VM is there."""
    connection.execute(
        text("UPDATE items SET kind = 'start', vm_uuid = :vm WHERE job_uuid = :job"),
        {"job": job_uuid, "vm": vm_uuid},
    )
    connection.execute(
        text("UPDATE jobs SET vm_instance_uuid = :source WHERE uuid = :job"),
        {"job": job_uuid, "source": source_uuid},
    )


def owner_of(connection: Connection, vm_uuid: str) -> str:
    return str(
        connection.execute(
            text("SELECT account_uuid FROM vm_instances WHERE uuid = :vm"), {"vm": vm_uuid}
        ).scalar_one()
    )


def keep_blueprints(
    connection: Connection, vm_uuids: list[str], blueprint: Mapping[str, Any]
) -> None:
    """What these records are made from when they are started first."""
    connection.execute(
        text(
            "UPDATE vm_instances SET blueprint = CAST(:blueprint AS jsonb) WHERE uuid = ANY(:uuids)"
        ),
        {"uuids": vm_uuids, "blueprint": orjson.dumps(blueprint).decode()},
    )


# The VM's state meanwhile; one that is updated keeps its own.
DOING = {
    JobKind.START: VmState.STARTING,
    JobKind.STOP: VmState.STOPPING,
    JobKind.REBOOT: VmState.REBOOTING,
    JobKind.DESTROY: VmState.DESTROYING,
    JobKind.EXPUNGE: VmState.EXPUNGING,
}
_ENDS_IN = {
    JobKind.START: VmState.RUNNING,
    JobKind.REBOOT: VmState.RUNNING,
    JobKind.STOP: VmState.STOPPED,
    JobKind.UPDATE: VmState.STOPPED,
}


def succeed(database: Database, claim: Claim, plan: OperationPlan) -> bool:
    """The VM is as was asked for; True for the job's last item."""
    check_move(ItemState.RUNNING, ItemState.SUCCEEDED)
    kind = JobKind(plan.operation)

    def work(connection: Connection) -> bool:
        removals.leave(connection, claim, ItemState.SUCCEEDED, None)
        if kind is JobKind.UPDATE:
            connection.execute(
                text(
                    "UPDATE vm_instances SET cpu_num = :cpu, memory_size = :memory "
                    "WHERE uuid = :uuid"
                ),
                {"cpu": plan.cpu_num, "memory": plan.memory_size, "uuid": plan.vm_uuid},
            )
        _settle(connection, plan, _ENDS_IN[kind])
        return items.count_end(connection, claim, ItemState.SUCCEEDED)

    return database.run(work)


def fail(
    database: Database, claim: Claim, plan: OperationPlan, error: CloneError, state: VmState
) -> bool:
    """It was not done, and the VM is in `state`; True for the job's last item."""
    to = ItemState.CANCELED if isinstance(error, OperationCanceled) else ItemState.FAILED
    check_move(ItemState.RUNNING, to)

    def work(connection: Connection) -> bool:
        removals.leave(connection, claim, to, error)
        _settle(connection, plan, state)
        return items.count_end(connection, claim, to)

    return database.run(work)


def _settle(connection: Connection, plan: OperationPlan, state: VmState) -> None:
    if state is VmState.STOPPED:
        put_back.to_stopped(connection, plan.vm_uuid)
    else:
        set_state(connection, plan.vm_uuid, state, host_uuid=plan.host.uuid)
