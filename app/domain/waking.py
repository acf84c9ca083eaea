"""How many messages wake the workers of hosts that were granted items. No I/O.

A worker's process that has ended an item takes the next one of the same host by itself, so only
processes that hold nothing need a message, and a host that no process is at.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WokenHost:
    machine: str  # hosts of one machine share its worker
    processes: int  # of that worker
    granted: int  # items, just now


def messages(hosts: Mapping[str, WokenHost], held: Mapping[str, int]) -> dict[str, int]:
    """By host, of those that need any. `held` says how many items of each host a process has in
    hand, counted after the grant: whoever had ended his item by then may have looked too early to
    find the new ones."""
    busy: Counter[str] = Counter()
    sharing: Counter[str] = Counter()
    for uuid, host in hosts.items():
        busy[host.machine] += held.get(uuid, 0)
        sharing[host.machine] += 1
    numbers = {
        uuid: min(host.granted, max(_share(host, busy, sharing), not held.get(uuid, 0)))
        for uuid, host in hosts.items()
    }
    return {uuid: number for uuid, number in numbers.items() if number}


def _share(host: WokenHost, busy: Counter[str], sharing: Counter[str]) -> int:
    """Of the machine's idle processes, rounded up."""
    idle = max(0, host.processes - busy[host.machine])
    return -(-idle // sharing[host.machine])
