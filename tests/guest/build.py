"""The tiny guest for tests: built once and kept from one run to the next, with a data disk where
one is wanted. What the guest is: workers/ops/demo/guest."""

import os
import tempfile
from pathlib import Path

from workers.ops.demo.guest.build import MACHINE_ID as MACHINE_ID
from workers.ops.demo.guest.build import MEMORY_MIB as MEMORY_MIB
from workers.ops.demo.guest.build import READY as READY
from workers.ops.demo.guest.build import ROOT_MARKER as ROOT_MARKER
from workers.ops.demo.guest.build import ROOT_TREE as ROOT_TREE
from workers.ops.demo.guest.build import build_guest as build_guest
from workers.ops.demo.guest.build import ext4
from workers.ops.demo.guest.tools import missing_programs as missing_programs

START_WORKLOAD = ("touch", "/var/lib/guest/workload")  # for the seed's bootcmd or runcmd
_DATA_SIZE = 8 << 20


def cache_folder() -> Path:
    """What is kept from one test run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "vmclone-tests")


def build_data(folder: Path, marker: str) -> Path:
    """A raw data disk of 8 MiB, labelled data, whose file `marker` has that content."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        Path(work, "marker").write_text(f"{marker}\n")
        return ext4(folder / "data.raw", _DATA_SIZE, "data", Path(work))
