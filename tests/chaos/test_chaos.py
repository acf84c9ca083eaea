"""Five seeds of the monkey: every fault there is, and every promise held afterwards."""

from pathlib import Path

from tests.chaos.recovery import Recoveries
from tests.chaos.session import SEEDS_A_STACK, run_seeds


def test_promises_hold_whatever_dies(tmp_path: Path) -> None:
    recoveries = Recoveries()
    runs = list(run_seeds(1, SEEDS_A_STACK, tmp_path, recoveries, print))
    findings = [f"seed {run.plan.seed}: {finding}" for run in runs for finding in run.findings]
    assert findings == []
    assert {name for run in runs for name in run.faults} == {
        kind.name for run in runs for kind in run.plan.kinds
    }
