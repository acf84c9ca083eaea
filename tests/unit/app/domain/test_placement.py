from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import NoHostAvailable
from app.domain.line import Line
from app.domain.placement import Candidate, Demand, choose, reachable
from app.domain.plan import HypervisorType
from app.domain.slots import Slots
from app.domain.states import WaitReason

DEMAND = Demand(
    zone_uuid="z",
    hypervisor_type=HypervisorType.SIMULATOR,
    cpu=2,
    memory=100,
    storage_uuids=frozenset({"ps"}),
    l3_network_uuids=frozenset({"l3"}),
    needs=frozenset({"machine type old", "UEFI"}),
)


def slots(number: int) -> Slots:
    return Slots(number, WaitReason.HOST_SLOTS)


def host(uuid: str = "h", **changes: Any) -> Candidate:
    return replace(
        Candidate(
            uuid=uuid,
            name=uuid,
            zone_uuid="z",
            cluster_uuid="c",
            hypervisor_type=HypervisorType.SIMULATOR,
            enabled=True,
            connected=True,
            machine=uuid,
            processes=4,
            free_cpu=10,
            free_memory=1000,
            line=Line(),
            builds=slots(4),
            copies=slots(4),
            vm_count=0,
            storage_uuids=frozenset({"ps"}),
            l3_network_uuids=frozenset({"l3"}),
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"zone_uuid": "other"}, "hypervisorType[Simulator]"),
        ({"hypervisor_type": HypervisorType.KVM}, "hypervisorType[Simulator]"),
        ({"storage_uuids": frozenset()}, "primary storage[uuids:ps]"),
        ({"l3_network_uuids": frozenset()}, "L3 network[uuids:l3]"),
        ({"runs": frozenset({"UEFI"})}, "source's domain needs: UEFI, machine type old; add"),
        ({"enabled": False}, "no Enabled hosts found in the [1] candidate hosts"),
    ],
)
def test_the_filter_that_nobody_passed_is_named(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(NoHostAvailable) as caught:
        reachable([host(**changes)], DEMAND)
    assert text in caught.value.details


def test_a_designated_pair_that_disagrees_leaves_nobody() -> None:
    demand = replace(DEMAND, cluster_uuid="c", host_uuid="elsewhere")
    with pytest.raises(NoHostAvailable) as caught:
        reachable([host()], demand)
    assert caught.value.details == "No host with clusterUuid in [c] hostUuid=elsewhere found"


def test_contention_waits_and_shortage_fails() -> None:
    assert choose([host(builds=slots(0))], DEMAND) is WaitReason.HOST_SLOTS
    assert choose([host(connected=False)], DEMAND) is WaitReason.HOST_LOST
    with pytest.raises(NoHostAvailable):
        choose([host(free_cpu=1)], DEMAND)
    with pytest.raises(NoHostAvailable):
        choose([host(free_memory=99)], DEMAND)


@pytest.mark.parametrize(
    ("strategy", "chosen"),
    [
        ("LeastVmPreferredHostAllocatorStrategy", "few"),
        ("LastHostPreferredHostAllocatorStrategy", "last"),
        ("LastHostPreferredAllocatorStrategy", "last"),  # as the API page spells it
        ("DefaultHostAllocatorStrategy", "roomy"),
        ("DesignatedHostAllocatorStrategy", "roomy"),
        ("MinimumCPUUsageHostAllocatorStrategy", "roomy"),  # measured load is unknown here
        (None, "roomy"),
    ],
)
def test_each_strategy_orders_the_candidates(strategy: str | None, chosen: str) -> None:
    hosts = [
        host("few", vm_count=1),
        host("last", vm_count=5),
        host("roomy", vm_count=5, free_memory=9999),
    ]
    found = choose(hosts, replace(DEMAND, strategy=strategy, last_host_uuid="last"))
    assert isinstance(found, Candidate)
    assert found.uuid == chosen


def test_ties_keep_the_input_order() -> None:
    found = choose([host("a"), host("b")], DEMAND)
    assert isinstance(found, Candidate)
    assert found.uuid == "a"


def test_a_clone_that_stays_stopped_must_fit_and_takes_only_a_slot() -> None:
    candidate = host()
    candidate.take(replace(DEMAND, holds=False))
    assert (candidate.free_cpu, candidate.free_memory, candidate.builds.free) == (10, 1000, 3)
