"""A worker's claim on one item: taken, kept alive by its heartbeat, and told why to stop.

A claim moves the item's fence, and every later write of its holder names that. The statements here
are single ones that are their own transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.operation import OperationPlan
from app.domain.states import ItemState, check_move
from app.domain.steps import StepName
from app.store.codec import Plan, plan_from_json
from app.store.limits import RATE
from app.store.session import Database


class LeaseLost(Exception):
    """Another worker holds the item now, or nobody does: touch nothing more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to one item until its lease lapses."""

    item_uuid: str
    job_uuid: str
    state: ItemState  # Running or RollingBack
    fence: int
    owner: str
    plan: Plan
    step: StepName | None  # running or last; None for a removal
    attempts: int
    lapses: int
    ends_as: ItemState | None  # where a rollback leads
    flags: "Flags"
    all_or_nothing: bool  # its last step leads to Made
    # What the recorded steps learned.
    done: Mapping[StepName, dict[str, Any]] = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        return self.item_uuid

    @property
    def volume_uuids(self) -> list[str]:
        """Of the VM; none where nothing is done with them."""
        if isinstance(self.plan, OperationPlan):
            return []
        return [volume.uuid for volume in self.plan.volumes]

    @property
    def key(self) -> dict[str, Any]:
        return {"item_uuid": self.item_uuid, "fence": self.fence}


@dataclass(frozen=True, slots=True)
class Flags:
    """Why a worker must stop what it is doing."""

    cancel: bool = False
    late: bool = False
    doomed: bool = False  # a sibling failed, and the job is all or nothing
    rate_bytes_s: int | None = None  # what its copies may move; None: no limit


# Past its policy: too many names have failed for the rest to begin, or for any to stand.
GIVEN_UP = (
    "(jobs.policy IS NOT NULL AND EXISTS (SELECT 1 FROM job_counters c "
    "WHERE c.job_uuid = jobs.uuid AND (c.failed > (jobs.policy->>'maxFailures')::int "
    "OR (jobs.policy->>'onFailure' = 'allOrNothing' AND c.failed + c.canceled > 0))))"
)
_FLAGS = (
    "COALESCE(jobs.cancel_requested_at, items.cancel_requested_at) IS NOT NULL AS cancel, "
    "COALESCE(jobs.deadline_at <= clock_timestamp() AND jobs.paused_at IS NULL, FALSE) AS late, "
    f"COALESCE(jobs.policy->>'onFailure' = 'allOrNothing' AND {GIVEN_UP}, FALSE) AS doomed, "
    f"{RATE}"
)

# After a gap (PostgreSQL was away, the laptop slept) holders get one more lease to say that they
# are alive, also from a message that was sent before it. What was handed back has no owner.
MAY_STEAL = (
    "(owner IS NULL OR COALESCE((SELECT steals_from <= clock_timestamp() "
    "AND passed_at > clock_timestamp() - make_interval(secs => {lease_s}) FROM sweeper_passes), "
    "TRUE))"
)
_DUE = "COALESCE({items}.not_before <= clock_timestamp(), TRUE)"
_GOES_ON = (
    "({jobs}.paused_at IS NULL OR COALESCE({jobs}.cancel_requested_at, "
    "{items}.cancel_requested_at) IS NOT NULL)"
)
_CLAIM = f"""
UPDATE items SET
    state = CASE items.state WHEN 'Granted' THEN 'Running' ELSE items.state END,
    fence = fence + 1,
    owner = %(owner)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
    wait_reason = NULL,
    bytes_per_s = NULL,
    started_at = COALESCE(items.started_at, clock_timestamp()),
    attempts = attempts + (items.state = 'Granted')::int,
    -- A lease handed back has no owner and is no lapse.
    lapses = lapses + (items.state <> 'Granted' AND owner IS NOT NULL)::int
FROM jobs
WHERE jobs.uuid = items.job_uuid AND {{which}}
RETURNING items.uuid, job_uuid, items.state::text, fence, plan, step::text, attempts, lapses,
    ends_as::text, COALESCE(jobs.policy->>'onFailure' = 'allOrNothing', FALSE) AS all_or_nothing,
    (SELECT jsonb_object_agg(name, COALESCE(facts, '{{{{}}}}'))
     FROM steps WHERE item_uuid = items.uuid AND undone_at IS NULL) AS done,
    {_FLAGS}
"""  # noqa: S608
_CLAIM_THIS = _CLAIM.format(
    which=f"""items.uuid = %(uuid)s AND items.host_uuid = %(host)s AND (
    (items.state = 'Granted' AND {_DUE.format(items="items")}
     AND {_GOES_ON.format(jobs="jobs", items="items")})
    OR (items.state IN ('Running', 'RollingBack') AND lease_until <= clock_timestamp()
        AND {MAY_STEAL.format(lease_s="%(lease_s)s")}))"""
)
_CLAIM_NEXT = _CLAIM.format(
    which=f"""items.uuid = (
    SELECT i.uuid FROM items i JOIN jobs j ON j.uuid = i.job_uuid
    WHERE i.host_uuid = %(host)s AND i.state = 'Granted' AND {_DUE.format(items="i")}
      AND {_GOES_ON.format(jobs="j", items="i")}
    ORDER BY i.turn, i.granted_at LIMIT 1 FOR UPDATE OF i SKIP LOCKED)"""  # noqa: S608
)


def claim(
    database: Database, item_uuid: str, host_uuid: str, *, owner: str, lease_s: float
) -> Claim | None:
    """Take a Granted item, or one whose lease has lapsed and may be stolen; None if it is neither,
    or no longer this host's."""
    return _claim(database, _CLAIM_THIS, owner, lease_s, uuid=item_uuid, host=host_uuid)


def claim_next(database: Database, host_uuid: str, *, owner: str, lease_s: float) -> Claim | None:
    """Take the first in the host's line of those that may run now; None if there is none."""
    return _claim(database, _CLAIM_NEXT, owner, lease_s, host=host_uuid)


def _claim(
    database: Database, statement: str, owner: str, lease_s: float, **which: str
) -> Claim | None:
    check_move(ItemState.GRANTED, ItemState.RUNNING)
    rows = database.hot(statement, {"owner": owner, "lease_s": lease_s} | which)
    if not rows:
        return None
    (row,) = rows
    return Claim(
        item_uuid=row.uuid,
        job_uuid=row.job_uuid,
        state=ItemState(row.state),
        fence=row.fence,
        owner=owner,
        plan=plan_from_json(row.plan),
        step=StepName(row.step) if row.step else None,
        attempts=row.attempts,
        lapses=row.lapses,
        ends_as=ItemState(row.ends_as) if row.ends_as else None,
        flags=Flags(row.cancel, row.late, row.doomed, row.rate_bytes_s),
        all_or_nothing=row.all_or_nothing,
        done={StepName(name): facts for name, facts in (row.done or {}).items()},
    )


def held(database: Database, host_uuids: Sequence[str]) -> dict[str, int]:
    """How many items of each of these hosts a process has in hand."""
    rows = database.hot(
        "SELECT host_uuid, count(*) AS number FROM items WHERE state IN ('Running', 'RollingBack') "
        "AND owner IS NOT NULL AND host_uuid = ANY(%(hosts)s) GROUP BY host_uuid",
        {"hosts": host_uuids},
    )
    return {row.host_uuid: row.number for row in rows}


# The lease began with the beat before, or with the claim: that moment and what was done by then
# tell the rate, which follows changes within a few beats.
_SINCE_LAST = """(GREATEST(0, %(bytes_done)s - bytes_done) / GREATEST(0.01,
    extract(epoch FROM clock_timestamp() - lease_until) + %(lease_s)s))::bigint"""
_BEAT = f"""
UPDATE items SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
    bytes_done = %(bytes_done)s,
    bytes_per_s = (2 * COALESCE(bytes_per_s, {_SINCE_LAST}) + {_SINCE_LAST}) / 3
FROM jobs
WHERE items.uuid = %(item_uuid)s AND fence = %(fence)s AND owner = %(owner)s
  AND items.state IN ('Running', 'RollingBack') AND jobs.uuid = items.job_uuid
RETURNING {_FLAGS}
"""  # noqa: S608


def beat(database: Database, claim: Claim, *, lease_s: float, bytes_done: int) -> Flags | None:
    """Extend the lease, a lapsed one too while nobody took it; None once it is somebody else's."""
    rows = database.hot(
        _BEAT,
        claim.key | {"owner": claim.owner, "lease_s": lease_s, "bytes_done": bytes_done},
    )
    return Flags(*rows[0]) if rows else None
