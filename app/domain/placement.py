"""Which host takes a clone: candidates in, one choice out. No I/O, no clock.

ZStack's filters run in its order; the first one that leaves nobody names the shortage. Contention
(a slot) is told apart from shortage (capacity, reach): the one waits, the other fails the name.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.domain.errors import NoHostAvailable
from app.domain.line import Line
from app.domain.plan import HypervisorType
from app.domain.slots import Slots
from app.domain.states import WaitReason


@dataclass(slots=True)
class Candidate:
    """A host as the scheduler sees it; `take` moves the numbers within a batch."""

    uuid: str
    name: str
    zone_uuid: str
    cluster_uuid: str
    hypervisor_type: HypervisorType
    enabled: bool
    connected: bool  # its worker was seen in the last seconds
    machine: str  # hosts of one machine share its worker
    processes: int  # of that worker
    free_cpu: int
    free_memory: int
    line: Line
    builds: Slots
    copies: Slots  # full ones: they hold a process of the host's worker for long
    vm_count: int
    libvirt_uri: str | None = None
    storage_uuids: frozenset[str] = field(default_factory=frozenset)
    l3_network_uuids: frozenset[str] = field(default_factory=frozenset)
    runs: frozenset[str] | None = None  # in the words of a demand's needs; None: not known

    def take(self, demand: "Demand") -> None:
        self.free_cpu -= demand.reserved_cpu
        self.free_memory -= demand.reserved_memory
        self.builds.take(demand.account_uuid)
        if demand.copies:
            self.copies.take(demand.account_uuid)
        self.vm_count += 1

    def refuses(self, demand: "Demand") -> WaitReason | None:
        """What the clone waits for here."""
        refusal = self.builds.refuses(demand.account_uuid)
        if refusal is None and demand.copies:
            refusal = self.copies.refuses(demand.account_uuid)
        return refusal


@dataclass(frozen=True, slots=True)
class Demand:
    zone_uuid: str
    hypervisor_type: HypervisorType
    cpu: int
    memory: int  # bytes
    storage_uuids: frozenset[str]  # the bases' and the targets'
    l3_network_uuids: frozenset[str]
    strategy: str | None = None
    cluster_uuid: str | None = None
    host_uuid: str | None = None
    last_host_uuid: str | None = None
    account_uuid: str = ""
    needs: frozenset[str] = frozenset()  # what the host has to run
    copies: bool = False  # a volume of it is copied in full
    holds: bool = True  # False for a clone that stays stopped: it must fit and holds nothing

    @property
    def reserved_cpu(self) -> int:
        return self.cpu if self.holds else 0

    @property
    def reserved_memory(self) -> int:
        return self.memory if self.holds else 0


Filter = tuple[str, Callable[[Candidate, Demand], bool]]

_STATIC: tuple[Filter, ...] = (
    (
        "no host with hypervisorType[{d.hypervisor_type}] is in zone[uuid:{d.zone_uuid}]",
        lambda c, d: c.zone_uuid == d.zone_uuid and c.hypervisor_type is d.hypervisor_type,
    ),
    (
        "No host with clusterUuid in [{d.cluster_uuid}] hostUuid={d.host_uuid} found",
        lambda c, d: (
            (d.host_uuid is None or c.uuid == d.host_uuid)
            and (d.cluster_uuid is None or c.cluster_uuid == d.cluster_uuid)
        ),
    ),
    (
        "no host reaches the primary storage{names} that the clone needs; attach it to the "
        "hosts' cluster, or choose one that the source's host reaches",
        lambda c, d: d.storage_uuids <= c.storage_uuids,
    ),
    (
        "no host reaches every L3 network{names} of the clone; attach them to the hosts' cluster",
        lambda c, d: d.l3_network_uuids <= c.l3_network_uuids,
    ),
    (
        "no host runs what the source's domain needs: {needs}; add a host that has it, or change "
        "the source",
        lambda c, d: c.runs is None or d.needs <= c.runs,
    ),
    ("no Enabled hosts found in the [{n}] candidate hosts", lambda c, _: c.enabled),
)
_ORDERS: dict[str, Callable[[Candidate, Demand], object]] = {
    "LeastVmPreferredHostAllocatorStrategy": lambda c, _: c.vm_count,
    "LastHostPreferredHostAllocatorStrategy": lambda c, d: (
        c.uuid != d.last_host_uuid,
        -c.free_memory,
    ),
    "DefaultHostAllocatorStrategy": lambda c, _: -c.free_memory,
    "DesignatedHostAllocatorStrategy": lambda c, _: -c.free_memory,
}
# The API page writes this one without "Host".
_ALIASES = {"LastHostPreferredAllocatorStrategy": "LastHostPreferredHostAllocatorStrategy"}
ALLOCATOR_STRATEGIES = (*_ORDERS, *_ALIASES)


def reachable(candidates: Iterable[Candidate], demand: Demand) -> list[Candidate]:
    """Those that fit by everything that does not change within a batch.

    Raises NoHostAvailable naming the first filter that nobody passed.
    """
    left = list(candidates)
    for text, passes in _STATIC:
        before = len(left)
        left = [candidate for candidate in left if passes(candidate, demand)]
        if not left:
            names = f"[uuids:{', '.join(sorted(demand.storage_uuids))}]"
            if "L3" in text:
                names = f"[uuids:{', '.join(sorted(demand.l3_network_uuids))}]"
            needs = ", ".join(sorted(demand.needs))
            raise NoHostAvailable(text.format(d=demand, n=before, names=names, needs=needs))
    return left


def choose(candidates: Sequence[Candidate], demand: Demand) -> Candidate | WaitReason:
    """The host that takes the clone, or what to wait for.

    Raises NoHostAvailable where no amount of waiting for slots would help.
    """
    connected = [c for c in candidates if c.connected]
    if not connected:
        return WaitReason.HOST_LOST
    roomy = [c for c in connected if c.free_cpu >= demand.cpu and c.free_memory >= demand.memory]
    if not roomy:
        raise NoHostAvailable(
            f"no host having cpu[{demand.cpu}], memory[{demand.memory} bytes] found"
        )
    refusals = [c.refuses(demand) for c in roomy]
    free = [c for c, refusal in zip(roomy, refusals, strict=True) if refusal is None]
    if not free:
        return next(filter(None, refusals))
    name = _ALIASES.get(demand.strategy or "", demand.strategy or "")
    order = _ORDERS.get(name, _ORDERS["DefaultHostAllocatorStrategy"])
    return min(free, key=lambda c: order(c, demand))  # type: ignore[arg-type,return-value]
