"""A query as a value, in the words of the store: rows, their columns, and how they relate.

The wire makes it from ZStack's names, so every name in it is one of ours; only the compared values
are the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """How a member's values are compared."""

    TEXT = "text"  # names, uuids, states
    INTEGER = "integer"
    BOOLEAN = "boolean"
    MOMENT = "moment"  # in whole seconds, as it is shown
    LIST = "list"  # of texts; a condition holds if it holds for one of them


class Operator(StrEnum):
    """ZStack's, as a query string writes them."""

    NOT_EQUAL = "!="
    AT_LEAST = ">="
    AT_MOST = "<="
    NOT_IN = "!?="
    NOT_LIKE = "!~="
    LIKE = "~="
    IN = "?="
    EQUAL = "="
    GREATER = ">"
    LESS = "<"
    IS_NULL = "is null"
    NOT_NULL = "not null"


class TagKind(StrEnum):
    SYSTEM = "System"
    USER = "User"


@dataclass(frozen=True, slots=True)
class Hop:
    """From a row to those rows of `source` whose column `theirs` equals its column `own`."""

    source: str
    own: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds for a row if it holds for one of the rows at the end of `hops`."""

    column: str | TagKind  # a tag kind: the tags of the row, as a list of texts
    kind: Kind
    operator: Operator
    value: Any = None  # a list for IN and NOT_IN, None for the null tests
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True)
class Sort:
    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """Which rows to read, which of their columns, and which related rows to read with them."""

    source: str
    columns: frozenset[str]
    lists: Mapping[str, tuple[Hop, "Shape"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    conditions: Sequence[Condition] = ()
    limit: int = 1000
    start: int = 0
    sort: Sort | None = None
    group_by: str | None = None  # a column: one row of each of its values
    fields: tuple[str, ...] = ()  # members to show; empty: all
    count_only: bool = False
    with_total: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A row with its related rows; `values` by column, `lists` as its shape names them."""

    values: Mapping[str, Any]
    lists: Mapping[str, list["Record"]] = field(default_factory=dict)
