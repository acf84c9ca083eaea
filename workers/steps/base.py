"""The shape of a clone step: do it, twice is once, and take it back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from app.domain.plan import CdRomPlan, ClonePlan, TagPlan
from app.domain.steps import StepName
from workers.context import StepContext
from workers.storage.base import VolumeFacts


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the runner records with the step."""

    volumes: Mapping[str, VolumeFacts] = field(default_factory=dict)  # by volume uuid
    cdroms: Sequence[CdRomPlan] = ()
    tags: Sequence[TagPlan] = ()

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "volumes": [
                {
                    "uuid": uuid,
                    "format": facts.format,
                    "method": facts.method,
                    "actual_size": facts.actual_size,
                }
                for uuid, facts in self.volumes.items()
            ]
        }


class Step:
    """One do/undo of an item. Steps never touch the database: the runner alone persists.

    `do` meets its own traces after a crash; `undo` relies on the plan alone, never on what `do`
    returned, because a crash may fall between the two.
    """

    name: ClassVar[StepName]
    # True where undo removes what a domain may still have open: it runs only once every later
    # undo has succeeded.
    removes_volumes: ClassVar[bool] = False

    def do(self, plan: ClonePlan, ctx: StepContext) -> StepResult:
        raise NotImplementedError

    def undo(self, plan: ClonePlan, ctx: StepContext) -> None:
        raise NotImplementedError
