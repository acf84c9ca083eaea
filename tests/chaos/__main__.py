"""`make chaos SEEDS=n FIRST_SEED=k`: long fault runs. Status 1 where a promise was broken."""

import argparse
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from tests.chaos.faults import KINDS
from tests.chaos.recovery import Recoveries
from tests.chaos.report import table
from tests.chaos.session import run_seeds

SHOWN = 800  # characters of a finding


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="say all that is done, and when")
    parser.add_argument(
        "--apart", action="store_true", help="one fault after another, to measure recoveries"
    )
    parser.add_argument(
        "--only", action="append", choices=[kind.name for kind in KINDS], help="of these faults"
    )
    asked = parser.parse_args()
    folder = Path(mkdtemp(prefix="vmclone-chaos-"))
    recoveries = Recoveries()
    names = faults = violations = seeds = 0

    def say(text: str) -> None:
        if asked.verbose:
            print(text, flush=True)

    runs = run_seeds(
        asked.first_seed,
        asked.seeds,
        folder,
        recoveries,
        say,
        apart=asked.apart,
        only=asked.only or (),
    )
    # A long run that is ended says what it has seen.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        for run in runs:
            seeds += 1
            names += run.names
            faults += len(run.faults)
            violations += len(run.findings)
            print(
                f"seed {run.plan.seed}: {', '.join(run.faults)}; {run.names} names; "
                f"all ended {run.settled_s:.1f} s after the last fault",
                flush=True,
            )
            if run.findings:
                _show(run.findings, run.log if not asked.verbose else [])
    if not violations:
        shutil.rmtree(folder)
    print(table(recoveries))
    print(f"chaos: seeds={seeds} faults={faults} names={names} violations={violations}")
    return 1 if violations else 0


def _show(findings: list[str], log: list[str]) -> None:
    for line in log:
        print(f"    {line}")
    for finding in findings:
        print(f"  VIOLATION {finding[:SHOWN]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
