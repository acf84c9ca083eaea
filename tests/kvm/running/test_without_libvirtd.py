"""libvirtd is killed at each call that makes a clone or removes it: there is one whole clone in the
end, or nothing of it."""

import re
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle

import pytest
from sqlalchemy import text

from app.store import removals
from app.store.models import JobKind
from tests.factories import ADMIN
from tests.kvm.running.engine import EVERY, KvmWorld
from tests.kvm.running.killing import Window, kills_libvirtd
from tests.kvm.waiting import until
from workers.storage.source import SETTLED_NS

ENDED_WELL = re.compile(r"Finished Succeeded \w+ \[\]")
NETWORK = "dhcp"
# A define takes some 3 ms, a start 200, an update 10.
MAKING = [
    Window(call, delay_ms)
    for delay_ms in (None, 0, 2, 5, 40, 100)
    for call in ("virNetwork.update", "virConnect.defineXML", "virDomain.create")
]
REMOVING = [
    Window(call, delay_ms)
    for delay_ms in (None, 0, 1, 2, 5, 10)
    for call in ("virDomain.destroy", "virDomain.undefineFlags", "virNetwork.update")
]
STEP = 1 if EVERY == 1 else 7  # the calls take turns


@pytest.fixture
def stopped(any_world: KvmWorld) -> Iterator[KvmWorld]:
    """Its source is, and a clone's NIC is plugged into a network of libvirt's."""
    world = any_world
    if world.source.runs():
        world.source.stop()
    written_ns = max(file.stat().st_ctime_ns for file in world.source.files.values())
    until(lambda: time.time_ns() - written_ns > SETTLED_NS, "its files rest", within_s=10)
    world.source.host.add_network(NETWORK, net="10.0.0")
    plug = text("UPDATE l3_networks SET bridge = :bridge, libvirt_network = :network")
    with world.database() as database:
        with database.engine.begin() as connection:
            connection.execute(plug, {"bridge": None, "network": NETWORK})
        yield world
        with database.engine.begin() as connection:
            connection.execute(plug, {"bridge": "br0", "network": None})


def test_libvirtd_is_killed_at_each_call_of_a_clone_s_life(stopped: KvmWorld) -> None:
    before = domains(stopped)
    for making, removing in zip(MAKING[::STEP], cycle(REMOVING[::STEP]), strict=False):
        job = stopped.job(strategy="InstantStart")
        ends_well(stopped, job, making)
        assert domains(stopped) == before | {vm_of(stopped, job): True}, making
        assert given_addresses(stopped) == 1, making
        ends_well(stopped, expunge(stopped, job), removing)
        assert domains(stopped) == before, removing
        assert given_addresses(stopped) == 0, removing


def ends_well(world: KvmWorld, job: str, window: Window) -> None:
    """Though libvirtd was killed there, once it is back."""
    world.run(partial(kills_libvirtd, job, window))
    world.source.host.forget_unborn()
    world.source.host.start_libvirtd()
    ended = world.end(job)
    assert ENDED_WELL.fullmatch(ended), f"{window}: {ended}"


def expunge(world: KvmWorld, job: str) -> str:
    with world.database() as database, database.engine.begin() as connection:
        vms = removals.made_by(connection, job, JobKind.EXPUNGE)
        return removals.ask(connection, vms, account_uuid=ADMIN, kind=JobKind.EXPUNGE)


def vm_of(world: KvmWorld, job: str) -> str:
    query = text("SELECT vm_uuid FROM items WHERE job_uuid = :job")
    with world.database() as database, database.single() as connection:
        return str(connection.scalar(query, {"job": job}))


def domains(world: KvmWorld) -> dict[str, bool]:
    """Whether each runs, by name."""
    with world.source.host.connection() as libvirtd:
        return {domain.name(): bool(domain.isActive()) for domain in libvirtd.listAllDomains()}


def given_addresses(world: KvmWorld) -> int:
    with world.source.host.connection() as libvirtd:
        return int(libvirtd.networkLookupByName(NETWORK).XMLDesc().count("<host mac="))
