"""Seeds in a row: a few on one stack, then a fresh one; a fresh one too after a finding."""

import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import mkdtemp

from tests.chaos.arena import arena
from tests.chaos.monkey import Monkey, Run, plan, possible_kinds
from tests.chaos.recovery import Recoveries

SEEDS_A_STACK = 5


def run_seeds(
    first: int,
    number: int,
    folder: Path,
    recoveries: Recoveries,
    say: Callable[[str], None],
    *,
    apart: bool = False,
    only: Collection[str] = (),
) -> Iterator[Run]:
    """Each seed's run as it ends. A stack with findings is kept on disk for a look."""
    left = list(range(first, first + number))
    while left:
        home = Path(mkdtemp(prefix="stack-", dir=folder))
        clean = True
        with arena(home) as ready:
            for _ in range(min(SEEDS_A_STACK, len(left))):
                kinds = possible_kinds(ready, only)
                planned = plan(left.pop(0), ready.places, kinds, apart=apart)
                say(f"seed {planned.seed} in {home}")
                for line in planned.lines():
                    say(f"  plan {line}")
                run = Monkey(ready, planned, recoveries, lambda text: say(f"  {text}")).go()
                yield run
                if run.findings:
                    clean = False
                    break
        if clean:
            shutil.rmtree(home, ignore_errors=True)
