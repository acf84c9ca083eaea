"""What becomes of each element of a source's domain in its clones: the table, and how it is read.

The rows are in domain_rows.py and device_rows.py, and docs/kvm-elements.md shows them. A path
begins below <domain>; `[attribute=value]` narrows it, `@attribute` names an attribute, and `*`
stands for any device. The first row that fits an element is its row. An element without a row is
left out, an attribute without one stays. Where an element that stays has rows for what is in it,
those rows alone say what stays of that; otherwise it stays whole.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from lxml.etree import _Element

_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
_STEP = re.compile(r"^(?P<name>[^\[]+)(\[(?P<attribute>[^=]+)=(?P<value>[^\]]+)\])?$")


class Action(StrEnum):
    KEPT = "kept"
    REWRITTEN = "rewritten"  # made anew from what the clone has of its own
    DROPPED = "dropped"
    REFUSED = "refused"  # a source that has it cannot be cloned


class When(StrEnum):
    """What a row may ask for."""

    PINNING = "CPU pinning is asked for"
    SAME_VCPUS = "the clone has as many vCPUs"
    SAME_MEMORY = "the clone has as much memory"
    TPM_COPIED = "the TPM's state is copied"


@dataclass(frozen=True, slots=True)
class Row:
    path: str
    action: Action
    reason: str
    when: frozenset[When] = frozenset()
    otherwise: Action = Action.DROPPED  # where `when` does not hold
    noted: bool = False  # whoever reads about the clone is told that it was left out

    def action_if(self, holds: frozenset[When]) -> Action:
        return self.action if self.when <= holds else self.otherwise


def kept(
    path: str,
    reason: str,
    *when: When,
    otherwise: Action = Action.DROPPED,
    noted: bool = False,
) -> Row:
    return Row(path, Action.KEPT, reason, frozenset(when), otherwise, noted)


def rewritten(path: str, reason: str) -> Row:
    return Row(path, Action.REWRITTEN, reason)


def dropped(path: str, reason: str, *, noted: bool = False) -> Row:
    return Row(path, Action.DROPPED, reason, noted=noted)


def refused(path: str, reason: str) -> Row:
    return Row(path, Action.REFUSED, reason)


def name_of(element: _Element) -> str:
    """As the table writes it: elements of QEMU's namespace have its usual prefix."""
    namespace, brace, name = str(element.tag).rpartition("}")
    if not brace:
        return name
    return f"qemu:{name}" if namespace == f"{{{_QEMU}" else f"?:{name}"


def below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


@dataclass(frozen=True, slots=True)
class _Step:
    row: Row
    attribute: str | None
    value: str | None

    def fits(self, element: _Element) -> bool:
        return self.attribute is None or element.get(self.attribute) == self.value


@dataclass(frozen=True, slots=True)
class Table:
    rows: tuple[Row, ...]
    _steps: dict[str, list[_Step]] = field(default_factory=lambda: defaultdict(list))
    _attributes: dict[str, Row] = field(default_factory=dict)
    _with_parts: set[str] = field(default_factory=set)
    _with_kept_parts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for row in self.rows:
            if "@" in row.path:
                self._attributes[row.path] = row
            else:
                self._add(row)

    def _add(self, row: Row) -> None:
        parent, _, last = row.path.rpartition("/")
        step = _STEP.match(last)
        assert step is not None, row.path
        self._steps[below(parent, step["name"])].append(
            _Step(row, step["attribute"], step["value"])
        )
        self._with_parts.add(parent)
        if row.action is not Action.REFUSED:
            self._with_kept_parts.add(parent)

    def row(self, path: str, element: _Element) -> Row | None:
        """`path` is the element's own, without narrowings."""
        for pattern in (path, *_patterns(path)):
            for step in self._steps.get(pattern, ()):
                if step.fits(element):
                    return step.row
        return None

    def attribute_row(self, path: str, name: str) -> Row | None:
        return self._attributes.get(f"{path}@{name}")

    def has_parts(self, path: str) -> bool:
        """Whether rows say what becomes of what is in the element."""
        return path in self._with_parts

    def lists_parts(self, path: str) -> bool:
        """Whether rows say what stays, so that anything else in the element is left out."""
        return path in self._with_kept_parts


def _patterns(path: str) -> Iterable[str]:
    steps = path.split("/")
    if steps[0] == "devices" and len(steps) in (2, 3):
        yield "/".join(("devices", "*", *steps[2:]))
