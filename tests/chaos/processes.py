"""Processes by their place in a tree, and signals that reach the one that was meant."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def children() -> dict[int, list[int]]:
    """Every process of this machine, by its parent."""
    found: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                found[int(fields[1])].append(int(folder.name))
    return found


def tree(root: int) -> list[int]:
    """The process and all below it, parents first."""
    below, found = children(), [root]
    for pid in found:
        found += below[pid]
    return found


def command(pid: int) -> str:
    """Empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ").strip()
    except OSError:
        return ""


class Aim:
    """Processes held by descriptor, so that a signal sent later cannot reach a stranger."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._descriptors: dict[int, int] = {}
        for pid in pids:
            with suppress(ProcessLookupError):
                self._descriptors[pid] = os.pidfd_open(pid)

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(self._descriptors)

    def send(self, number: signal.Signals) -> None:
        """Who is gone already is left out."""
        for descriptor in self._descriptors.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
