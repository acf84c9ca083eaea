"""Items on their way: the rows that scheduler and workers move."""

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Double, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.domain.job_kind import JobKind
from app.domain.plan import CloneMethod
from app.domain.states import ItemState, WaitReason
from app.domain.steps import StepName
from app.store.models.columns import (
    Moment,
    brin,
    bytes_count,
    enum_of,
    json_value,
    loose_uuid,
    moment,
    native_enum,
    reference,
    uuid_key,
)

# A VM's first start is taken back as a clone is.
OPERATING = "state IN ('Waiting', 'Granted', 'Running', 'RollingBack', 'Stranded')"
OPEN_ITEM = "state IN ('Granted', 'Running', 'Made', 'RollingBack', 'Stranded')"


class ReservationKind(StrEnum):
    CPU = "Cpu"
    MEMORY = "Memory"
    STORAGE = "Storage"


class Item(SQLModel, table=True):
    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("job_uuid", "ordinal", name="items_ordinal"),
        Index("items_vm", "vm_uuid", unique=True, postgresql_where=text("kind = 'clone'")),
        # One operation on a VM at a time.
        Index(
            "items_operation",
            "vm_uuid",
            unique=True,
            postgresql_where=text(f"kind <> 'clone' AND {OPERATING}"),
        ),
        Index("items_waiting", "job_uuid", "ordinal", postgresql_where=text("state = 'Waiting'")),
        Index(
            "items_granted",
            "host_uuid",
            "turn",
            "granted_at",
            postgresql_where=text("state = 'Granted'"),
        ),
        Index("items_recheck", "recheck_at", postgresql_where=text("recheck_at IS NOT NULL")),
        Index("items_open", "state", "job_uuid", postgresql_where=text(OPEN_ITEM)),
        Index(
            "items_identity_due",
            "host_uuid",
            "identity_due_at",
            postgresql_where=text("identity_due_at IS NOT NULL AND state = 'Succeeded'"),
        ),
        # For looks at the past: it costs the moves next to nothing.
        brin("items_finished", "finished_at"),
        # The plan lies out of line, so that the many small moves do not write it again.
        {"postgresql_with": {"fillfactor": "70", "toast_tuple_target": "1024"}},
    )

    uuid: str = uuid_key()
    job_uuid: str = reference("jobs.uuid", ondelete="CASCADE")
    kind: JobKind = Field(
        default=JobKind.CLONE,
        sa_type=native_enum(JobKind, "job_kind"),
        nullable=False,
        sa_column_kwargs={"server_default": text("'clone'")},
    )
    ordinal: int  # place in the request, from 0
    name: str = Field(max_length=255)
    state: ItemState = enum_of(ItemState, "item_state", default=ItemState.WAITING)
    # Minted at start, before anything of that name exists anywhere.
    vm_uuid: str = loose_uuid(nullable=False)
    volume_uuids: list[str] = Field(sa_type=ARRAY(String(32)))
    nic_uuids: list[str] = Field(sa_type=ARRAY(String(32)))
    host_uuid: str | None = reference("hosts.uuid", nullable=True)
    plan: Any = json_value()  # app.domain's ClonePlan or RemovalPlan, written by the grant
    step: StepName | None = enum_of(StepName, "step_name", nullable=True)  # running or last
    wait_reason: WaitReason | None = enum_of(WaitReason, "wait_reason", nullable=True)
    # In its host's line (`app.domain.line`): the lowest goes first.
    turn: float = Field(
        default=0, sa_type=Double, sa_column_kwargs={"server_default": text("0")}, nullable=False
    )
    attempts: int = 0
    lapses: int = 0
    not_before: Moment = moment()
    published_at: Moment = moment()
    fence: int = Field(default=0, sa_type=BigInteger)
    owner: str | None = None
    lease_until: Moment = moment()
    method: CloneMethod | None = enum_of(CloneMethod, "clone_method", nullable=True)
    bytes_done: int = bytes_count()
    bytes_total: int | None = bytes_count(default=None, nullable=True)
    # Over the last seconds, by its heartbeats; of a Running item alone.
    bytes_per_s: int | None = bytes_count(default=None, nullable=True)
    identity: str | None = None  # app.domain.guest's Identity
    identity_due_at: Moment = moment()  # its guest is asked next
    cancel_requested_at: Moment = moment()
    ends_as: ItemState | None = enum_of(ItemState, "item_state", nullable=True)  # after rollback
    error: dict[str, Any] | None = json_value()
    granted_at: Moment = moment()
    started_at: Moment = moment()
    finished_at: Moment = moment()
    recheck_at: Moment = moment()  # its host is looked at once more


class Step(SQLModel, table=True):
    """One finished step of an item. No row means: not done, or begun and not known to be done.

    No foreign key: a record is selected from the item's row that its writer holds, and checking it
    a second time cost as much as writing it. Records go with their items (`due.expired_jobs`).
    """

    __tablename__ = "steps"
    __table_args__ = (brin("steps_finished", "finished_at"),)

    item_uuid: str = Field(primary_key=True, max_length=32)
    name: StepName = Field(
        sa_type=native_enum(StepName, "step_name"),
        primary_key=True,
    )
    attempt: int
    worker: str
    facts: dict[str, Any] | None = json_value()  # what the step learned, for the last transaction
    started_at: Moment = moment(nullable=False)
    finished_at: Moment = moment(nullable=False)
    undone_at: Moment = moment()


class Reservation(SQLModel, table=True):
    """An amount of a host's or storage's capacity that is held. Addresses and MACs are held by
    their own rows (`used_ips`, `vm_nics`); slots are counted from open items."""

    __tablename__ = "reservations"
    __table_args__ = (
        UniqueConstraint("holder_uuid", "kind", name="reservations_holder"),
        Index("reservations_resource", "resource_uuid"),
    )

    uuid: str = uuid_key()
    kind: ReservationKind = enum_of(ReservationKind, "reservation_kind")
    resource_uuid: str = loose_uuid(nullable=False)  # the host or primary storage
    holder_uuid: str = loose_uuid(nullable=False)  # the VM, volume or base
    amount: int = bytes_count()


class SweeperPass(SQLModel, table=True):
    """The sweeper's last good pass, one row: after a gap it steals no lease for a while."""

    __tablename__ = "sweeper_passes"
    __table_args__ = (CheckConstraint("id = 1", name="sweeper_passes_one"),)

    id: int = Field(default=1, primary_key=True)
    passed_at: Moment = moment(nullable=False)
    steals_from: Moment = moment(nullable=False)


class Event(SQLModel, table=True):
    """What happened, in the order (xid, id): readers stay below pg_snapshot_xmin, so that a slow
    transaction's event is never skipped."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_job", "job_uuid", "xid", "id"),
        Index("events_order", "xid", "id"),
        Index("events_of_jobs", "xid", postgresql_where=text("item_uuid IS NULL")),
    )

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True)
    xid: int = Field(
        default=None,
        sa_type=BigInteger,
        sa_column_kwargs={"server_default": text("pg_current_xact_id()::text::bigint")},
        nullable=False,
    )
    job_uuid: str = loose_uuid(nullable=False)
    item_uuid: str | None = loose_uuid()
    kind: str
    facts: dict[str, Any] | None = json_value()
    at: Moment = moment(nullable=False)
