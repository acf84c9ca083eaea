"""One line of docs/performance.md as it came out in this run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    figures: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'MISSED'}  {self.figures}"
