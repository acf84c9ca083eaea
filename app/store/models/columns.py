"""Column shapes that the tables share."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Enum, ForeignKey, Index, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

UUID_LENGTH = 32  # ZStack's form: v4 in lower-case hex without dashes

# clock_timestamp(), not now(): a stored time is when it happened, not when its transaction began.
CLOCK = func.clock_timestamp()


def uuid_key() -> Any:
    return Field(sa_type=String(UUID_LENGTH), primary_key=True)


def reference(
    target: str, *, nullable: bool = False, ondelete: str | None = None, index: bool = False
) -> Any:
    """A uuid column that points at `target` ("table.column")."""
    return Field(
        default=None if nullable else ...,
        sa_type=String(UUID_LENGTH),
        sa_column_args=[ForeignKey(target, ondelete=ondelete)],
        nullable=nullable,
        index=index,
    )


def loose_uuid(*, nullable: bool = True, index: bool = False) -> Any:
    """A uuid column without a foreign key: what it names may come later or go earlier."""
    return Field(
        default=None if nullable else ...,
        sa_type=String(UUID_LENGTH),
        nullable=nullable,
        index=index,
    )


def native_enum(kind: type[StrEnum], name: str) -> Enum:
    """PostgreSQL's enum of the members' values."""
    return Enum(
        kind, name=name, values_callable=lambda members: [member.value for member in members]
    )


def enum_of(kind: type[StrEnum], name: str, *, default: Any = ..., nullable: bool = False) -> Any:
    return Field(
        default=None if nullable and default is ... else default,
        sa_type=native_enum(kind, name),
        nullable=nullable,
    )


def bytes_count(*, default: Any = 0, nullable: bool = False) -> Any:
    return Field(default=default, sa_type=BigInteger, nullable=nullable)


def moment(*, nullable: bool = True) -> Any:
    """A time with zone; not nullable means: set by the database's clock when left out."""
    return Field(
        default=None,
        sa_type=DateTime(timezone=True),
        nullable=nullable,
        sa_column_kwargs={} if nullable else {"server_default": CLOCK},
    )


def brin(name: str, column: str) -> Index:
    """For a column that grows with the table: a few bytes for a megabyte of rows."""
    return Index(
        name,
        column,
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on", "pages_per_range": "32"},
    )


def json_value(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_type=JSONB(none_as_null=True), nullable=nullable)


Moment = datetime | None
