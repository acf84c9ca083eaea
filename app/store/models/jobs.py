"""Accepted requests, their results, and what hangs on a request's edge."""

from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, PrimaryKeyConstraint, text
from sqlalchemy.dialects.postgresql import JSON
from sqlmodel import Field, SQLModel

from app.domain.job_kind import JobKind
from app.domain.states import JobOutcome, JobState, WaitReason
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


class Job(SQLModel, table=True):
    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_open", "created_at", postgresql_where=text("state <> 'Finished'")),
        Index("jobs_state", "state", "created_at"),
        Index("jobs_account", "account_uuid", "created_at"),
        Index(
            "jobs_retries",
            "retry_of",
            "created_at",
            postgresql_where=text("retry_of IS NOT NULL"),
        ),
        brin("jobs_created", "created_at"),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    uuid: str = uuid_key()
    kind: JobKind = Field(
        default=JobKind.CLONE,
        sa_type=native_enum(JobKind, "job_kind"),
        nullable=False,
        sa_column_kwargs={"server_default": text("'clone'")},
    )
    state: JobState = enum_of(JobState, "job_state", default=JobState.ACCEPTED)
    outcome: JobOutcome | None = enum_of(JobOutcome, "job_outcome", nullable=True)
    account_uuid: str | None = loose_uuid()  # None: the session was refused
    vm_instance_uuid: str  # as requested: not necessarily a uuid
    # The parameters as JSON text, names included; None once a refused session was answered.
    request: Any = Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)
    spec: dict[str, Any] | None = json_value()  # the judged request without its names
    ignored: list[str] | None = json_value()  # parameters accepted without effect
    notes: list[str] | None = json_value()  # what the source has and its clones will lack
    requested: int = 0  # how many names the request has
    priority: int = 5
    policy: dict[str, Any] | None = json_value()
    api_timeout_ms: int = bytes_count()
    deadline_at: Moment = moment()
    web_hook: str | None = None
    wants_schema: bool = False
    client_ip: str | None = None
    # Why its Waiting items wait, unless an item has a reason of its own.
    wait_reason: WaitReason | None = enum_of(WaitReason, "wait_reason", nullable=True)
    base_set_uuid: str | None = reference("base_sets.uuid", nullable=True, index=True)
    error: dict[str, Any] | None = json_value()
    consistency: str | None = None  # of the moment that its clones are of
    retry_of: str | None = loose_uuid()
    # What each name counts against its account's quotas until it is granted, by quota.
    quota_need: dict[str, int] | None = json_value()
    published_at: Moment = moment()
    cancel_requested_at: Moment = moment()
    paused_at: Moment = moment()
    created_at: Moment = moment(nullable=False)
    started_at: Moment = moment()
    finished_at: Moment = moment()


class LongJob(SQLModel, table=True):
    """What SubmitLongJob asked for: a name on a job. Its state is the job's."""

    __tablename__ = "long_jobs"
    __table_args__ = (Index("long_jobs_account", "account_uuid", "created_at"),)

    uuid: str = uuid_key()
    name: str
    description: str | None = None
    job_name: str  # the short class of the API message
    job_data: str  # its fields, JSON text
    target_resource_uuid: str | None = None
    account_uuid: str = loose_uuid(nullable=False)
    # The job that runs it, or ran it last: another one after a rerun.
    job_uuid: str | None = reference("jobs.uuid", nullable=True, ondelete="SET NULL", index=True)
    created_at: Moment = moment(nullable=False)
    last_op_at: Moment = moment(nullable=False)


class JobCounters(SQLModel, table=True):
    """Ended items and their bytes: a narrow row, moved last in an item's last transaction."""

    __tablename__ = "job_counters"
    __table_args__ = (
        CheckConstraint("succeeded + failed + canceled <= total", name="job_counters_total"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    job_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="jobs.uuid", ondelete="CASCADE"
    )
    total: int
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    bytes_done: int = bytes_count()


class JobResult(SQLModel, table=True):
    """A finished job's answer as it is sent: a status and JSON bytes."""

    __tablename__ = "job_results"

    job_uuid: str = Field(
        primary_key=True, max_length=32, foreign_key="jobs.uuid", ondelete="CASCADE"
    )
    status: int
    body: bytes = Field(sa_type=LargeBinary)
    # The value of the `schema` member for those who ask; None where there is none.
    schema_body: bytes | None = Field(default=None, sa_type=LargeBinary)


class IdempotencyKey(SQLModel, table=True):
    __tablename__ = "idempotency_keys"
    __table_args__ = (PrimaryKeyConstraint("account_uuid", "key"),)

    account_uuid: str = reference("accounts.uuid", ondelete="CASCADE")
    key: str = Field(max_length=255)
    fingerprint: str  # of the canonical body
    job_uuid: str = loose_uuid(nullable=False)
    created_at: Moment = moment(nullable=False)


class Webhook(SQLModel, table=True):
    """One callback owed to a caller."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index("webhooks_due", "not_before", postgresql_where=text("delivered_at IS NULL")),
    )

    uuid: str = uuid_key()
    job_uuid: str = reference("jobs.uuid", ondelete="CASCADE", index=True)
    url: str
    attempts: int = 0
    not_before: Moment = moment(nullable=False)
    delivered_at: Moment = moment()
    given_up_at: Moment = moment()
    last_error: str | None = None
    created_at: Moment = moment(nullable=False)
