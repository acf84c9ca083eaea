"""Items that a worker began on a host that is lost.

They wait for it, because only that host can say what is left of them, and nobody else may touch
that. Once their job is over for them they end here, by the database alone: a clone is Stranded,
which keeps all that it holds and is taken back when the host is there again; a VM that was to be
started, stopped or removed is in an unknown state. A worker that comes back finds that its fence
is not the last.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, text

from app.domain.errors import CloneError, HostDisconnected, OperationFailed
from app.domain.states import ItemState, check_move
from app.store import items
from app.store.codec import dumps, error_to_json
from app.store.due import BATCH, STOPPED
from app.store.hosts import LOST_S
from app.store.models import JobKind, VmState

_DOING = {JobKind.DESTROY: "remove", JobKind.EXPUNGE: "remove"}
_PATH = (ItemState.GRANTED, ItemState.RUNNING, ItemState.ROLLING_BACK, ItemState.STRANDED)
_END = """
UPDATE items SET state = CAST(:state AS item_state), fence = fence + 1, owner = NULL,
    lease_until = NULL, wait_reason = NULL, not_before = clock_timestamp(),
    ends_as = COALESCE(ends_as, 'Failed'), error = CAST(:error AS jsonb),
    finished_at = COALESCE(finished_at, clock_timestamp())
WHERE uuid = :uuid
"""


def end_overdue(connection: Connection) -> int:
    """Up to a batch of them; how many they were. Not to be called after a gap: then every host
    seems lost."""
    for old, new in pairwise(_PATH):
        check_move(old, new)
    check_move(ItemState.RUNNING, ItemState.FAILED)
    overdue = connection.execute(
        text(
            "SELECT items.uuid, items.job_uuid, items.vm_uuid, items.kind::text AS kind, "  # noqa: S608
            f"items.kind = 'clone' OR {items.FIRST_START} AS makes, "
            "items.name, "
            "CASE items.state WHEN 'RollingBack' THEN items.error END AS error, "
            "items.finished_at IS NULL AS first, hosts.uuid AS host_uuid, hosts.name AS host_name, "
            "to_char(hosts.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS seen "
            "FROM items JOIN jobs ON jobs.uuid = items.job_uuid "
            "JOIN hosts ON hosts.uuid = items.host_uuid "
            "WHERE items.state IN ('Granted', 'Running', 'RollingBack') AND items.fence > 0 "
            "AND COALESCE(items.lease_until <= clock_timestamp(), TRUE) "
            "AND hosts.seen_at < clock_timestamp() - make_interval(secs => :lost_s) "
            "AND jobs.state = 'Running' "
            f"AND ({STOPPED} OR items.cancel_requested_at IS NOT NULL) "
            "ORDER BY items.uuid LIMIT :batch FOR UPDATE OF items SKIP LOCKED"
        ),
        {"lost_s": LOST_S, "batch": BATCH},
    ).all()
    for item in overdue:
        _end(connection, item)
    _count(connection, [item for item in overdue if item.first])
    return len(overdue)


def _end(connection: Connection, item: Row[Any]) -> None:
    removes = not item.makes
    connection.execute(
        text(_END),
        {
            "uuid": item.uuid,
            "state": ItemState.FAILED if removes else ItemState.STRANDED,
            # What sent it back is why it failed; the rest is told by its state.
            "error": dumps(item.error or error_to_json(_why(item, removes=removes))),
        },
    )
    # One that was given other sizes is as stopped as before.
    if removes and item.kind != JobKind.UPDATE:
        connection.execute(
            text(
                "UPDATE vm_instances SET state = :state, last_op_at = clock_timestamp() "
                "WHERE uuid = :uuid"
            ),
            {"state": VmState.UNKNOWN, "uuid": item.vm_uuid},
        )


def _why(item: Row[Any], *, removes: bool) -> CloneError:
    cause = HostDisconnected(
        f"host[uuid:{item.host_uuid}, name:{item.host_name}] was last seen at {item.seen}; "
        + (
            "ask for it again once its worker runs"
            if removes
            else "what was begun there is taken back once its worker runs"
        )
    )
    doing = "create" if not removes else _DOING.get(item.kind, item.kind)
    return OperationFailed(f"unable to {doing} vm[name:{item.name}]: {cause.details}", cause=cause)


def _count(connection: Connection, ended: Sequence[Row[Any]]) -> None:
    """The sweeper sends the jobs that are complete by this to their finish."""
    for item in ended:
        items.add_end_event(connection, item.job_uuid, item.uuid, ItemState.FAILED)
    for job_uuid in sorted({item.job_uuid for item in ended}):
        number = sum(item.job_uuid == job_uuid for item in ended)
        items.count_ends(connection, job_uuid, ItemState.FAILED, number)
