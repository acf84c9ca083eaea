"""Steps of an item that are done, up to the last, with which its clone stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.plan import CdRomPlan, TagPlan
from app.domain.states import ItemState, check_move
from app.domain.steps import StepName
from app.store.codec import dumps
from app.store.leases import Claim, LeaseLost
from app.store.models import VmState
from app.store.session import Database

_WRITE_STEP = """
    INSERT INTO steps (item_uuid, name, attempt, worker, facts, started_at, finished_at)
    SELECT uuid, %(step)s, %(attempt)s, %(worker)s, CAST(%(facts)s AS jsonb),
        clock_timestamp() - make_interval(secs => %(elapsed_s)s), clock_timestamp()
    FROM item
    ON CONFLICT (item_uuid, name) DO UPDATE SET
        attempt = excluded.attempt, worker = excluded.worker, facts = excluded.facts,
        started_at = excluded.started_at, finished_at = excluded.finished_at, undone_at = NULL"""
_MOVE_ON = """
WITH item AS (
    UPDATE items SET step = %(next_step)s, bytes_done = %(bytes_done)s
    WHERE uuid = %(item_uuid)s AND fence = %(fence)s AND state = 'Running'
    RETURNING uuid, vm_uuid
)"""
_RECORD_STEP = f"{_MOVE_ON}{_WRITE_STEP} RETURNING item_uuid"
_RECORD_GUEST_STEP = f"""{_MOVE_ON}, cdrom AS (
    INSERT INTO vm_cdroms (uuid, vm_instance_uuid, device_id, name, iso_uuid, iso_install_path)
    SELECT made.uuid, vm_uuid, device_id, 'vm-' || vm_uuid || '-cdRom', iso_uuid, iso_path
    FROM item, jsonb_to_recordset(CAST(%(cdroms)s AS jsonb))
        AS made(uuid text, device_id int, iso_uuid text, iso_path text)
    ON CONFLICT DO NOTHING
), tag AS (
    INSERT INTO tags (uuid, resource_uuid, resource_type, kind, tag)
    SELECT made.uuid, resource_uuid, resource_type, CAST(kind AS tag_kind), made.tag
    FROM item, jsonb_to_recordset(CAST(%(tags)s AS jsonb))
        AS made(uuid text, resource_uuid text, resource_type text, kind text, tag text)
    ON CONFLICT DO NOTHING
){_WRITE_STEP} RETURNING item_uuid"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class StepRecord:
    step: StepName
    elapsed_s: float
    bytes_done: int  # of the item so far
    facts: str | None = None  # JSON

    def parameters(self, claim: Claim) -> dict[str, Any]:
        return claim.key | {
            "step": self.step,
            "attempt": claim.attempts,
            "worker": claim.owner,
            "facts": self.facts,
            "elapsed_s": self.elapsed_s,
            "bytes_done": self.bytes_done,
        }


def record_step(
    database: Database,
    claim: Claim,
    record: StepRecord,
    *,
    next_step: StepName,
    cdroms: Sequence[CdRomPlan] = (),
    tags: Sequence[TagPlan] = (),
) -> None:
    """The step is done and will not be done again; the item is at `next_step`, and the drives and
    tags that the step gave the clone are rows."""
    parameters = record.parameters(claim) | {"next_step": next_step}
    statement = _RECORD_STEP
    if cdroms or tags:
        statement = _RECORD_GUEST_STEP
        parameters |= {"cdroms": dumps(cdroms), "tags": dumps(tags)}
    if not database.hot(statement, parameters):
        raise LeaseLost


# What an item's last step brings with it.
_LAST_STEP = """
WITH item AS (
    UPDATE items SET state = '{state}', owner = NULL, lease_until = NULL,
        finished_at = {finished_at}, method = %(method)s,
        bytes_done = %(bytes_done)s, bytes_total = %(bytes_done)s,
        identity_due_at = CASE WHEN %(asks_guest)s
            THEN clock_timestamp() + interval '2 seconds' END
    WHERE uuid = %(item_uuid)s AND fence = %(fence)s AND state = 'Running'
    RETURNING uuid, job_uuid, vm_uuid
), step AS (
    {write_step}
), vm AS (
    UPDATE vm_instances SET state = %(vm_state)s, last_op_at = clock_timestamp()
    FROM item WHERE vm_instances.uuid = item.vm_uuid
), volume AS (
    UPDATE volumes SET status = 'Ready', format = CAST(made.format AS volume_format),
        method = CAST(made.method AS clone_method), actual_size = made.actual_size,
        base_uuid = CASE WHEN made.method = 'linked' THEN volumes.base_uuid END,
        last_op_at = clock_timestamp()
    FROM item, jsonb_to_recordset(CAST(%(volumes)s AS jsonb))
        AS made(uuid text, format text, method text, actual_size bigint)
    -- The list of uuids keeps the planner from reading the whole table for its join.
    WHERE volumes.uuid = made.uuid AND volumes.uuid = ANY(%(volume_uuids)s)
), event AS (
    INSERT INTO events (job_uuid, item_uuid, kind)
    SELECT job_uuid, uuid, 'item.{event}' FROM item
)"""
_SUCCEED = (
    _LAST_STEP.format(  # noqa: S608
        state="Succeeded",
        finished_at="clock_timestamp()",
        event="succeeded",
        write_step=_WRITE_STEP,
    )
    + """, counters AS (
    UPDATE job_counters SET succeeded = succeeded + 1, bytes_done = bytes_done + %(bytes_done)s
    FROM item WHERE job_counters.job_uuid = item.job_uuid
    RETURNING total - succeeded - failed - canceled AS still_open
)
SELECT still_open FROM counters
"""
)
# Its siblings decide with it: the job counts all of them when all are made. Two last ones at the
# same moment do not see each other; the sweeper does.
_MAKE = (
    _LAST_STEP.format(state="Made", finished_at="NULL", event="made", write_step=_WRITE_STEP)  # noqa: S608
    + """
SELECT (SELECT count(*) FROM items others WHERE others.job_uuid = item.job_uuid
    AND others.uuid <> item.uuid AND others.state <> 'Made') AS still_open
FROM item
"""
)


def succeed(
    database: Database,
    claim: Claim,
    record: StepRecord,
    *,
    vm_state: VmState,
    method: str,
    volumes: str,
    asks_guest: bool = False,
) -> bool:
    """The last step is done and the clone stands, or is made where its job is all or nothing;
    True for the last item of its job.

    `asks_guest`: its guest is asked later who it is (`store.identities`). `volumes` is a JSON list
    of {uuid, format, method, actual_size}.
    """
    check_move(ItemState.RUNNING, ItemState.MADE if claim.all_or_nothing else ItemState.SUCCEEDED)
    parameters = record.parameters(claim) | {
        "vm_state": vm_state,
        "method": method,
        "volumes": volumes,
        "asks_guest": asks_guest,
        "volume_uuids": claim.volume_uuids,
    }
    statement = _MAKE if claim.all_or_nothing else _SUCCEED
    rows = database.hot(statement, parameters)
    if not rows:
        raise LeaseLost
    return bool(rows[0].still_open == 0)
