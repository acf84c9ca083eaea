"""VMs that are destroyed or expunged: chosen, planned, gone, or left as they were."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Connection, Row, text

from app.domain.errors import CloneError, InvalidArgument, SourceVolumeBusy, VmStateNotAllowed
from app.domain.line import Line
from app.domain.plan import HostRef, HypervisorType, NicPlan, StorageRef, StorageType, VolumeFile
from app.domain.removal import RemovalPlan
from app.domain.states import ItemState, JobState, WaitReason, check_move
from app.store import capacity, hosts, items, jobs, put_back, under_way
from app.store.accounts import ADMIN_UUID
from app.store.codec import error_to_json, plan_to_json
from app.store.leases import Claim, LeaseLost
from app.store.models import JobKind, Origin, ReservationKind, VmState
from app.store.session import Database

# Of the VM `v`: something is being done with it.
BUSY = (
    "EXISTS (SELECT 1 FROM items i WHERE i.vm_uuid = v.uuid AND i.kind <> 'clone' "
    "AND i.state IN ('Waiting', 'Granted', 'Running', 'RollingBack', 'Stranded'))"
)
OUR_OWN = ""  # the VM that `ask`'s jobs name: callers always name one
EXPIRED_BATCH = 200
EXPIRED_AGAIN_S = 3600.0  # after a failure


def ask(
    connection: Connection, vm_uuids: Sequence[str], *, account_uuid: str, kind: JobKind
) -> str:
    """The uuid of a job, Accepted, that removes these VMs."""
    uuid = uuid4().hex
    connection.execute(
        text(
            "INSERT INTO jobs (uuid, kind, state, account_uuid, vm_instance_uuid, request, "
            "requested, priority, api_timeout_ms, wants_schema) VALUES (:uuid, :kind, 'Accepted', "
            ":account, :own, CAST(:request AS json), :requested, 5, 0, FALSE)"
        ),
        {
            "uuid": uuid,
            "kind": kind,
            "account": account_uuid,
            "own": OUR_OWN,
            "request": orjson.dumps({"vmInstanceUuids": list(vm_uuids)}).decode(),
            "requested": len(vm_uuids),
        },
    )
    return uuid


def made_by(connection: Connection, job_uuid: str, kind: JobKind) -> list[str]:
    """The VMs of a clone job that are there to be removed, in request order."""
    gone = "('Expunging')" if kind is JobKind.EXPUNGE else "('Destroyed', 'Destroying')"
    return list(
        connection.execute(
            text(
                "SELECT v.uuid FROM items i JOIN vm_instances v ON v.uuid = i.vm_uuid "  # noqa: S608
                "WHERE i.job_uuid = :job AND i.kind = 'clone' AND i.state = 'Succeeded' "
                f"AND v.state NOT IN {gone} ORDER BY i.ordinal"
            ),
            {"job": job_uuid},
        ).scalars()
    )


def ask_for_expired(connection: Connection, *, after_s: float) -> str | None:
    """A job that expunges VMs destroyed so long ago; None where there are none."""
    vm_uuids = list(
        connection.execute(
            text(
                "UPDATE vm_instances SET state = 'Expunging', last_op_at = clock_timestamp() "  # noqa: S608
                "WHERE uuid IN (SELECT uuid FROM vm_instances v WHERE state = 'Destroyed' "
                f" AND NOT {BUSY} "
                " AND destroyed_at < clock_timestamp() - make_interval(secs => :after_s) "
                " AND last_op_at < clock_timestamp() "
                "  - make_interval(secs => LEAST(:after_s, :again_s)) "
                " ORDER BY destroyed_at LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING uuid"
            ),
            {"after_s": after_s, "again_s": EXPIRED_AGAIN_S, "batch": EXPIRED_BATCH},
        ).scalars()
    )
    if not vm_uuids:
        return None
    return ask(connection, vm_uuids, account_uuid=ADMIN_UUID, kind=JobKind.EXPUNGE)


def begin(
    connection: Connection, job_uuid: str, kind: JobKind, vm_uuids: Sequence[str]
) -> Mapping[str, Sequence[str]]:
    """The job runs: one item a VM, granted to the VM's host, or waiting for that to be heard of
    again, or ended where the VM cannot be removed, or was never more than a record. The items to
    publish, by host."""
    check_move(JobState.ACCEPTED, JobState.RUNNING)
    vms = _held(connection, vm_uuids)
    connection.execute(
        text(
            "UPDATE jobs SET state = 'Running', started_at = clock_timestamp(), "
            "wait_reason = :reason WHERE uuid = :job"
        ),
        {
            "job": job_uuid,
            "reason": WaitReason.HOST_LOST if any(vm.away for vm in vms) else None,
        },
    )
    jobs.add_event(connection, job_uuid, "job.running")
    refused = {vm.uuid: error for vm in vms if (error := _refusal(vm)) is not None}
    records = [vm.uuid for vm in vms if vm.uuid not in refused and vm.host_uuid is None]
    plans = _plans(connection, [vm for vm in vms if vm.uuid not in {*refused, *records}], kind)
    here = [vm for vm in vms if vm.uuid in plans and not vm.away]
    turns = _turns(connection, job_uuid, here)
    published = _insert_items(connection, job_uuid, kind, vms, refused, plans, turns)
    connection.execute(
        text(
            "INSERT INTO job_counters (job_uuid, total, succeeded, failed, canceled, bytes_done) "
            "VALUES (:job, :total, :succeeded, :failed, 0, 0)"
        ),
        {
            "job": job_uuid,
            "total": len(vms),
            "succeeded": len(records),
            "failed": len(refused),
        },
    )
    _set_state(
        connection,
        [vm.uuid for vm in here],
        VmState.EXPUNGING if kind is JobKind.EXPUNGE else VmState.DESTROYING,
    )
    for vm in vms:
        waits = vm.uuid in plans and vm.away
        is_left = vm.uuid in refused and not vm.busy
        # Marked by the sweeper, which asks again later.
        if vm.state == VmState.EXPUNGING and (waits or is_left):
            put_back.spare_vm(connection, vm.uuid, vm.state)
    for vm_uuid in records:
        _settle(connection, vm_uuid, (), expunges=kind is JobKind.EXPUNGE)
    jobs.begin_finishing(connection, job_uuid)
    return published


def _held(connection: Connection, vm_uuids: Sequence[str]) -> Sequence[Row[Any]]:
    """The VMs in the order given, their rows held: no other operation begins meanwhile."""
    rows = connection.execute(
        text(
            "SELECT v.uuid, v.name, v.state::text AS state, v.origin::text AS origin, "  # noqa: S608
            "h.uuid AS host_uuid, h.name AS host_name, h.libvirt_uri, "
            "v.hypervisor_type::text AS hypervisor_type, "
            f"{BUSY} AS busy, h.uuid IS NOT NULL AND NOT {hosts.CONNECTED} AS away, "
            # A record that is started first is cloned, and its job has a spec.
            "EXISTS (SELECT 1 FROM jobs j WHERE j.vm_instance_uuid = v.uuid "
            " AND (j.kind = 'clone' OR j.spec IS NOT NULL) AND j.state <> 'Finished') AS copied "
            "FROM vm_instances v LEFT JOIN hosts h "
            " ON h.uuid = COALESCE(v.host_uuid, v.last_host_uuid) "
            "WHERE v.uuid = ANY(:uuids) ORDER BY v.uuid FOR UPDATE OF v"
        ),
        {"uuids": list(vm_uuids)},
    ).all()
    place = {uuid: number for number, uuid in enumerate(vm_uuids)}
    return sorted(rows, key=lambda row: place[row.uuid])


def _refusal(vm: Row[Any]) -> CloneError | None:
    if vm.origin == Origin.ADOPTED:
        return InvalidArgument(
            f"vm[uuid:{vm.uuid}, name:{vm.name}] was not made by vmclone, which never removes "
            "what it did not make; remove it with what made it"
        )
    if vm.busy:
        return VmStateNotAllowed(
            f"vm[uuid:{vm.uuid}, name:{vm.name}] is {vm.state}: another operation on it is under "
            "way; wait for its end"
        )
    if vm.copied:
        return SourceVolumeBusy(
            f"vm[uuid:{vm.uuid}, name:{vm.name}] is being cloned; remove it once the clone jobs "
            "of it have finished"
        )
    return None


def _plans(connection: Connection, vms: Sequence[Row[Any]], kind: JobKind) -> dict[str, str]:
    """A plan as JSON by VM."""
    uuids = {"uuids": [vm.uuid for vm in vms]}
    volumes: dict[str, list[VolumeFile]] = defaultdict(list)
    for row in connection.execute(
        text(
            "SELECT v.vm_instance_uuid AS vm, v.uuid, v.install_path, s.uuid AS storage, "
            "s.type::text AS type, s.url FROM volumes v "
            "JOIN primary_storages s ON s.uuid = v.primary_storage_uuid "
            "WHERE v.vm_instance_uuid = ANY(:uuids) AND v.origin = 'cloned' "
            "ORDER BY v.device_id, v.uuid"
        ),
        uuids,
    ).all():
        storage = StorageRef(row.storage, StorageType(row.type), row.url)
        volumes[row.vm].append(VolumeFile(row.uuid, storage, row.install_path))
    nics: dict[str, list[NicPlan]] = defaultdict(list)
    for row in connection.execute(
        text(
            "SELECT n.*, l.bridge, l.libvirt_network, u.ip, u.netmask, u.gateway FROM vm_nics n "
            "JOIN l3_networks l ON l.uuid = n.l3_network_uuid "
            "LEFT JOIN used_ips u ON u.vm_nic_uuid = n.uuid AND u.ip_version = 4 "
            "WHERE n.vm_instance_uuid = ANY(:uuids) ORDER BY n.device_id"
        ),
        uuids,
    ).all():
        nics[row.vm_instance_uuid].append(
            NicPlan(
                uuid=row.uuid,
                device_id=row.device_id,
                mac=row.mac,
                internal_name=row.internal_name,
                l3_network_uuid=row.l3_network_uuid,
                bridge=row.bridge,
                driver_type=row.driver_type,
                ip=row.ip,
                netmask=row.netmask,
                gateway=row.gateway,
                libvirt_network=row.libvirt_network,
            )
        )
    return {
        vm.uuid: plan_to_json(
            RemovalPlan(
                vm_uuid=vm.uuid,
                host=HostRef(
                    vm.host_uuid, vm.host_name, HypervisorType(vm.hypervisor_type), vm.libvirt_uri
                ),
                volumes=tuple(volumes[vm.uuid]),
                nics=tuple(nics[vm.uuid]),
                expunges=kind is JobKind.EXPUNGE,
                was=vm.state,
            )
        )
        for vm in vms
    }


def _insert_items(
    connection: Connection,
    job_uuid: str,
    kind: JobKind,
    vms: Sequence[Row[Any]],
    refused: Mapping[str, CloneError],
    plans: Mapping[str, str],
    turns: Mapping[str, float],
) -> Mapping[str, Sequence[str]]:
    check_move(ItemState.WAITING, ItemState.GRANTED)
    check_move(ItemState.WAITING, ItemState.FAILED)
    rows = []
    published: dict[str, list[str]] = defaultdict(list)
    for ordinal, vm in enumerate(vms):
        row: dict[str, Any] = {
            "uuid": uuid4().hex,
            "ordinal": ordinal,
            "name": vm.name,
            "vm": vm.uuid,
            "state": ItemState.SUCCEEDED,
        }
        if vm.uuid in refused:
            row |= {"state": ItemState.FAILED, "error": error_to_json(refused[vm.uuid])}
        elif vm.uuid in plans:
            plan = orjson.Fragment(plans[vm.uuid])
            row |= {"state": ItemState.WAITING, "plan": plan}
            if vm.uuid in turns:
                row |= {"state": ItemState.GRANTED, "host": vm.host_uuid, "turn": turns[vm.uuid]}
                published[vm.host_uuid].append(row["uuid"])
        rows.append(row)
    connection.execute(
        text(
            "INSERT INTO items (uuid, job_uuid, kind, ordinal, name, state, vm_uuid, plan, error, "
            "host_uuid, turn, volume_uuids, nic_uuids, attempts, lapses, fence, bytes_done, "
            "granted_at, published_at, finished_at) "
            "SELECT g.uuid, :job, CAST(:kind AS job_kind), g.ordinal, g.name, "
            "CAST(g.state AS item_state), g.vm, g.plan, g.error, g.host, COALESCE(g.turn, 0), "
            "'{}', '{}', 0, 0, 0, 0, "
            "CASE WHEN g.state <> 'Waiting' THEN clock_timestamp() END, "
            "CASE WHEN g.state <> 'Waiting' THEN clock_timestamp() END, "
            "CASE WHEN g.state NOT IN ('Waiting', 'Granted') THEN clock_timestamp() END "
            "FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS g(uuid text, ordinal int, "
            "name text, state text, vm text, plan jsonb, error jsonb, host text, turn float8)"
        ),
        {"job": job_uuid, "kind": kind, "items": orjson.dumps(rows).decode()},
    )
    return published


def _turns(connection: Connection, job_uuid: str, vms: Sequence[Row[Any]]) -> dict[str, float]:
    """Each VM's place in its host's line, where clones stand too: by VM."""
    account, weight = account_of(connection, job_uuid)
    lines = under_way.lines(connection)
    return {vm.uuid: lines.setdefault(vm.host_uuid, Line()).take(account, weight) for vm in vms}


def account_of(connection: Connection, job_uuid: str) -> tuple[str, float]:
    """The job's account and its weight; 1 for an account that is gone."""
    job = connection.execute(
        text(
            "SELECT account_uuid, COALESCE(weight, 1) AS weight FROM jobs "
            "LEFT JOIN accounts ON accounts.uuid = account_uuid WHERE jobs.uuid = :job"
        ),
        {"job": job_uuid},
    ).one()
    return job.account_uuid, job.weight


def _set_state(connection: Connection, vm_uuids: Sequence[str], state: VmState) -> None:
    connection.execute(
        text(
            "UPDATE vm_instances SET state = :state, last_op_at = clock_timestamp() "
            "WHERE uuid = ANY(:uuids)"
        ),
        {"state": state, "uuids": list(vm_uuids)},
    )


def _settle(
    connection: Connection, vm_uuid: str, volume_uuids: Sequence[str], *, expunges: bool
) -> None:
    """The VM's rows once nothing of it is on its host; expunged, none is left."""
    if expunges:
        put_back.forget_vm(connection, vm_uuid, volume_uuids)
        return
    capacity.release(connection, [vm_uuid], [ReservationKind.CPU, ReservationKind.MEMORY])
    connection.execute(
        text(
            "UPDATE vm_instances SET state = 'Destroyed', host_uuid = NULL, "
            "last_host_uuid = COALESCE(host_uuid, last_host_uuid), "
            "destroyed_at = COALESCE(destroyed_at, clock_timestamp()), "
            "last_op_at = clock_timestamp() WHERE uuid = :uuid"
        ),
        {"uuid": vm_uuid},
    )


def succeed(database: Database, claim: Claim, plan: RemovalPlan) -> bool:
    """The VM is gone from its host, and expunged from its storages; True for the job's last."""
    check_move(ItemState.RUNNING, ItemState.SUCCEEDED)

    def work(connection: Connection) -> bool:
        leave(connection, claim, ItemState.SUCCEEDED, None)
        _settle(connection, plan.vm_uuid, [v.uuid for v in plan.volumes], expunges=plan.expunges)
        return items.count_end(connection, claim, ItemState.SUCCEEDED)

    return database.run(work)


def fail(database: Database, claim: Claim, error: CloneError, state: VmState) -> bool:
    """The VM could not be removed and is in `state`; True for the job's last."""
    check_move(ItemState.RUNNING, ItemState.FAILED)

    def work(connection: Connection) -> bool:
        leave(connection, claim, ItemState.FAILED, error)
        if state is VmState.DESTROYED:
            _settle(connection, claim.plan.vm_uuid, (), expunges=False)
        else:
            _set_state(connection, [claim.plan.vm_uuid], state)
        return items.count_end(connection, claim, ItemState.FAILED)

    return database.run(work)


def leave(connection: Connection, claim: Claim, to: ItemState, error: CloneError | None) -> None:
    changed = connection.execute(
        text(
            "UPDATE items SET state = CAST(:to AS item_state), owner = NULL, lease_until = NULL, "
            "finished_at = clock_timestamp(), error = CAST(:error AS jsonb) "
            "WHERE uuid = :item_uuid AND fence = :fence AND state = 'Running'"
        ),
        claim.key
        | {"to": to, "error": orjson.dumps(error_to_json(error)).decode() if error else None},
    ).rowcount
    if not changed:
        raise LeaseLost
