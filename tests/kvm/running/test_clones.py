"""A running VM is cloned in bulk from one moment, and is afterwards what it was before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.audit import assert_nothing_left_over
from tests.e2e.stack import Stack, running_stack
from tests.guest.build import ROOT_MARKER
from tests.kvm.libvirt_host import LibvirtHost, told_accelerator
from tests.kvm.running.engine import EVERY, KvmWorld
from tests.kvm.running.source import ASKING_S, DATA_MARKER, NAME, Source, declare
from tests.kvm.waiting import until

CLONES, AT_ONCE = 10, 5  # memory and time allow for so many guests under emulation
CALM_WRITES = 50  # as many as it makes while it is cloned, or so
BOOTED = CLONES if EVERY == 1 else 2  # each is one of the same base: `make deep` boots all


@pytest.fixture
def stack(world: KvmWorld, tmp_path: Path) -> Iterator[Stack]:
    machine = world.source.host.machine
    with running_stack(
        told_accelerator(tmp_path / "home"), machine, VMCLONE_LEASE_S="3"
    ) as running:
        yield running


def test_ten_clones_of_a_guest_that_writes_all_the_time(world: KvmWorld, stack: Stack) -> None:
    source, host = world.source, world.source.host
    folder = source.storage("ten")
    storage = declare(stack, source, folder)
    calm_ms = gap_without_a_snapshot(source)
    names = [f"web-{number}" for number in range(CLONES)]
    job = stack.clone(NAME, names=names, full=True, strategy="CreateStopped")
    view = stack.wait_for(job)
    assert (view["outcome"], view["consistency"]) == ("Succeeded", "crash")
    assert view["sourceSnapshot"] is None
    source.assert_as_before()
    print(f"longest write gap: {source.said()['worst_gap_ms']} ms, without a snapshot {calm_ms} ms")
    made = [entry["inventory"] for entry in stack.ask(lambda client: client.result(job))]
    guests = list(boot(host, made[:BOOTED]))
    for vm, name, guest in zip(made, names, guests, strict=False):
        assert_is(guest, vm, name)
    assert len({guest["machine_id"] for guest in guests}) == BOOTED
    assert_one_moment(guests)
    removal = stack.ask(lambda client: client.remove_vms(job))
    assert stack.wait_for(removal)["outcome"] == "Succeeded"
    source.assert_as_before()
    with host.machine.network(), stack.database() as database:
        assert_nothing_left_over(database, storage, folder)


def gap_without_a_snapshot(source: Source) -> int:
    """In milliseconds; afterwards it is taken anew."""
    source.forget_gap()
    begun = source.written()
    until(
        lambda: source.written() > begun + CALM_WRITES,
        "it writes on",
        within_s=60,
        every_s=ASKING_S,
    )
    longest = int(source.said()["worst_gap_ms"])
    source.forget_gap()
    return longest


def boot(host: LibvirtHost, vms: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What each guest says of itself; so many at a time."""
    with host.connection() as libvirtd:
        for first in range(0, len(vms), AT_ONCE):
            some = vms[first : first + AT_ONCE]
            domains = [libvirtd.lookupByName(vm["uuid"]) for vm in some]
            for domain in domains:
                domain.create()
            for vm in some:
                yield host.identity(vm["vmNics"][0]["ip"], within_s=120)
            for domain in domains:
                domain.destroy()


def assert_is(guest: dict[str, Any], vm: dict[str, Any], hostname: str) -> None:
    (nic,) = vm["vmNics"]
    assert guest["hostname"] == hostname
    assert guest["uuid"].replace("-", "") == vm["uuid"] == guest["instance_id"]
    assert guest["nics"][0]["mac"] == nic["mac"]
    assert guest["markers"] == {"root": ROOT_MARKER, "data": DATA_MARKER}


def assert_one_moment(guests: list[dict[str, Any]]) -> None:
    """The guest writes to root, then to data: at any one moment root is equal or one ahead. Each
    clone has the same."""
    counts = {(guest["first_counts"]["root"], guest["first_counts"]["data"]) for guest in guests}
    print(f"counts of the moment: {counts}")
    ((root, data),) = counts
    assert root - data in {0, 1}
