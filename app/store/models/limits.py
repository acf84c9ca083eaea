"""Limits that operators change while everything runs."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, PrimaryKeyConstraint
from sqlmodel import Field, SQLModel

from app.store.models.columns import bytes_count, enum_of


class LimitScope(StrEnum):
    HOST = "host"
    PRIMARY_STORAGE = "primaryStorage"
    SOURCE = "source"
    ACCOUNT = "account"


class LimitName(StrEnum):
    BUILDS = "builds"  # clones under way at once
    FULL_COPIES = "fullCopies"  # full copies under way at once
    BYTES_PER_SECOND = "bytesPerSecond"  # of all full copies together


# What each scope can be limited in.
LIMITS: dict[LimitScope, tuple[LimitName, ...]] = {
    LimitScope.HOST: (LimitName.BUILDS, LimitName.FULL_COPIES),
    LimitScope.PRIMARY_STORAGE: (LimitName.FULL_COPIES, LimitName.BYTES_PER_SECOND),
    LimitScope.SOURCE: (LimitName.BUILDS,),
    LimitScope.ACCOUNT: (LimitName.BUILDS,),
}
DEFAULT = ""  # the resource_uuid of a scope's default


class Limit(SQLModel, table=True):
    __tablename__ = "limits"
    __table_args__ = (
        PrimaryKeyConstraint("scope", "resource_uuid", "name"),
        CheckConstraint("value >= 0", name="limits_value"),
    )

    scope: LimitScope = enum_of(LimitScope, "limit_scope")
    resource_uuid: str = Field(max_length=32)  # empty: of every resource without one of its own
    name: LimitName = enum_of(LimitName, "limit_name")
    value: int = bytes_count()
