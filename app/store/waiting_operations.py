"""What is to be done with VMs whose host was silent, or whose job was paused: it waits with its
plan, the VM as it was, and is granted to that host, where the VM lies, once it may."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, text

from app.domain.errors import CloneError, OperationFailed
from app.domain.states import ItemState, WaitReason, check_move
from app.store import grants, hosts, items, jobs, operations
from app.store.models import REMOVALS, JobKind

BATCH = 200
Waiting = Row[str, str, str, str, str, str, bool]


@dataclass(frozen=True, slots=True)
class Granted:
    items: Mapping[str, Sequence[str]]  # by host
    finishing: Sequence[str]  # jobs that ended by what could not be granted


def grant(connection: Connection) -> Granted:
    """Up to a batch of them; the jobs of the others say what they wait for. Whoever calls this
    holds the scheduler's lock: what is free on a host now is free for us."""
    check_move(ItemState.WAITING, ItemState.GRANTED)
    granted: dict[str, list[str]] = defaultdict(list)
    finishing = []
    silent = set()
    for item in _waiting(connection):
        if not item.connected:
            silent.add(item.job_uuid)
            continue
        try:
            _grant(connection, item)
        except CloneError as error:
            if _fail(connection, item, error):
                finishing.append(item.job_uuid)
        else:
            granted[item.host_uuid].append(item.uuid)
    if silent:
        grants.set_wait_reason(connection, sorted(silent), WaitReason.HOST_LOST)
    return Granted(granted, finishing)


def _waiting(connection: Connection) -> Sequence[Waiting]:
    return connection.execute(
        text(
            "SELECT i.uuid, i.job_uuid, i.kind::text AS kind, i.vm_uuid, i.name, "  # noqa: S608
            f"h.uuid AS host_uuid, {hosts.CONNECTED} AS connected "
            "FROM jobs j JOIN items i ON i.job_uuid = j.uuid AND i.state = 'Waiting' "
            "JOIN hosts h ON h.uuid = i.plan->'host'->>'uuid' "
            "WHERE j.state = 'Running' AND j.spec IS NULL AND j.paused_at IS NULL "
            "AND j.cancel_requested_at IS NULL "
            "AND COALESCE(j.deadline_at > clock_timestamp(), TRUE) "
            "ORDER BY 7 DESC, i.uuid LIMIT :batch FOR UPDATE OF i SKIP LOCKED"
        ),
        {"batch": BATCH},
    ).all()


def _grant(connection: Connection, item: Waiting) -> None:
    """Raises NoHostAvailable."""
    kind = JobKind(item.kind)
    vm = operations.hold(connection, item.vm_uuid)
    assert vm is not None  # nothing else is done with it meanwhile
    if kind is JobKind.START:
        operations.reserve(connection, vm)
    if kind in operations.DOING:
        host = None if kind in REMOVALS else item.host_uuid
        operations.set_state(connection, item.vm_uuid, operations.DOING[kind], host_uuid=host)
    connection.execute(
        text(
            "UPDATE items SET state = 'Granted', host_uuid = :host, turn = :turn, "
            "granted_at = clock_timestamp(), published_at = clock_timestamp() WHERE uuid = :uuid"
        ),
        {
            "uuid": item.uuid,
            "host": item.host_uuid,
            "turn": operations.turn(connection, item.job_uuid, item.host_uuid),
        },
    )


def _fail(connection: Connection, item: Waiting, error: CloneError) -> bool:
    """True if that ended its job."""
    failed = OperationFailed(
        f"unable to {item.kind} vm[uuid:{item.vm_uuid}, name:{item.name}]: {error.details}",
        cause=error,
    )
    return items.fail_waiting(connection, item.job_uuid, {item.uuid: failed}) and (
        jobs.begin_finishing(connection, item.job_uuid)
    )
