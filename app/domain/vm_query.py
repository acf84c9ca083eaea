"""A query for VM instances as a value, parsed from ZStack's query string."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """`value` is a list for ?= and !?=, None for the null tests."""

    column: str
    operator: str  # = != > >= < <= ~= !~= ?= !?= "is null" "not null"
    value: Any
    is_text: bool  # compared as text: names, uuids and states


@dataclass(frozen=True, slots=True)
class Sort:
    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class VmQuery:
    conditions: Sequence[Comparison] = ()
    limit: int = 1000
    start: int = 0
    sort: Sort | None = None
    fields: tuple[str, ...] = ()  # of the inventory; empty: all
    count_only: bool = False
    with_total: bool = False
