"""What is found: one line each, for people and for programs."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    ORPHAN = "orphan"  # provably ours, and nobody's: --repair removes it
    FOREIGN = "foreign"  # in a folder of ours and nothing of ours: never removed
    MISSING = "missing"  # the database has it, the world has not
    WRONG = "wrong"  # it is there, and not as the database says
    UNSEEN = "unseen"  # could not be looked at


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    thing: str  # volume, base, part, domain, reservation, …
    name: str  # its uuid or path
    where: str
    why: str
    todo: str
    bytes: int | None = None
    repaired: bool = False

    def line(self) -> str:
        size = f", {self.bytes} bytes" if self.bytes else ""
        done = "repaired" if self.repaired else self.todo
        return f"{self.kind}: {self.thing} {self.name} on {self.where}{size}: {self.why}; {done}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an installation needs."""

    what: str
    held: bool
    text: str  # what was seen; what to do where it does not hold

    def line(self) -> str:
        return f"{'ok    ' if self.held else 'FAILED'} {self.what}: {self.text}"


def exit_status(findings: list[Finding]) -> int:
    """0 nothing is left to do, 1 something is, 2 something could not be looked at."""
    left = [finding for finding in findings if not finding.repaired]
    if any(finding.kind is not Kind.UNSEEN for finding in left):
        return 1
    return 2 if left else 0
