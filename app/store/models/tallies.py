"""What was counted of ended jobs, names and steps: kept for much longer than they are, and read
without a look at them. `app.store.tallies` says how it comes about."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, DateTime, Double, PrimaryKeyConstraint, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from app.store.models.columns import bytes_count


def the_hour() -> Any:
    """Its beginning; counted is what ended in it."""
    return Field(sa_type=DateTime(timezone=True))


def amount() -> Any:
    return Field(default=0, sa_type=Double, nullable=False)


class TallyCursor(SQLModel, table=True):
    """The last event that was counted, one row."""

    __tablename__ = "tally_cursors"
    __table_args__ = (CheckConstraint("id = 1", name="tally_cursors_one"),)

    id: int = Field(default=1, primary_key=True)
    xid: int = bytes_count()
    event_id: int = bytes_count()


class Total(SQLModel, table=True):
    """A number that only grows, whatever is deleted: what a Prometheus counter shows."""

    __tablename__ = "totals"
    __table_args__ = (PrimaryKeyConstraint("name", "labels"),)

    name: str
    labels: list[str] = Field(sa_type=ARRAY(String()))  # values, in the metric's order
    value: float = amount()


class HourlyJobs(SQLModel, table=True):
    __tablename__ = "hourly_jobs"
    __table_args__ = (PrimaryKeyConstraint("hour", "account_uuid", "kind", "outcome"),)

    hour: datetime = the_hour()
    account_uuid: str = Field(max_length=32)
    kind: str
    outcome: str
    jobs: int = bytes_count()
    wait_s: float = amount()  # accepted to judged
    run_s: float = amount()  # judged to finished


class HourlyItems(SQLModel, table=True):
    """An empty text stands for none."""

    __tablename__ = "hourly_items"
    __table_args__ = (
        PrimaryKeyConstraint(
            "hour", "account_uuid", "kind", "outcome", "method", "error_code", "failed_step"
        ),
    )

    hour: datetime = the_hour()
    account_uuid: str = Field(max_length=32)
    kind: str
    outcome: str
    method: str
    error_code: str  # the innermost: what really happened
    failed_step: str
    items: int = bytes_count()
    copied_bytes: int = bytes_count()
    wait_s: float = amount()  # accepted to begun
    run_s: float = amount()  # begun to ended


class HourlySteps(SQLModel, table=True):
    __tablename__ = "hourly_steps"
    __table_args__ = (PrimaryKeyConstraint("hour", "step", "result", "up_to_s"),)

    hour: datetime = the_hour()
    step: str
    result: str  # succeeded, or undone: done, and taken back later
    up_to_s: float = Field(sa_type=Double)  # its bucket of durations; infinity for the last
    steps: int = bytes_count()
    duration_s: float = amount()
