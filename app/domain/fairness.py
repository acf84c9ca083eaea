"""Who is granted next: fair share over accounts, then priority, then order.

An account's share is measured by its open items against its weight, so that one name of a small
account goes ahead of another's ten thousand.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WaitingJob:
    uuid: str
    account_uuid: str
    priority: int  # 9 first
    created_at: datetime
    waiting: int  # items that could be granted; may be a lower bound


def divide(
    jobs: Sequence[WaitingJob],
    open_items: Mapping[str, int],
    weights: Mapping[str, float],
    budget: int,
) -> list[tuple[str, int]]:
    """How many items of each job may be granted now, in the order they should be, at most
    `budget` together. `open_items` and `weights` are by account; a missing weight is 1."""
    queues: dict[str, list[WaitingJob]] = {}
    for job in sorted(jobs, key=lambda j: (-j.priority, j.created_at, j.uuid)):
        queues.setdefault(job.account_uuid, []).append(job)
    taken: dict[str, int] = {}
    left = {job.uuid: job.waiting for job in jobs}
    heap = [(open_items.get(account, 0) / weights.get(account, 1.0), account) for account in queues]
    heapq.heapify(heap)
    while heap and budget:
        load, account = heapq.heappop(heap)
        first = next((job for job in queues[account] if left[job.uuid]), None)
        if first is None:
            continue
        # Alone, an account needs no turns.
        step = min(left[first.uuid], budget) if not heap else 1
        taken[first.uuid] = taken.get(first.uuid, 0) + step
        left[first.uuid] -= step
        budget -= step
        heapq.heappush(heap, (load + step / weights.get(account, 1.0), account))
    return list(taken.items())
