"""What is done with one VM of a KVM host: it is powered off and on, resized and removed."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.e2e.audit import assert_nothing_left_over
from tests.guest.build import MEMORY_MIB
from tests.kvm.domains import Domain
from tests.kvm.shared.place import Place

MAC = "52:54:00:00:00:01"
# A topology that only fits its one CPU, as many a domain of virt-manager's has one.
TOPOLOGY = "<cpu><topology sockets='1' cores='1' threads='1'/></cpu>"
BY_ITSELF, BY_FORCE = 1, 2  # reasons why libvirt has a domain shut off


@pytest.fixture(scope="module", autouse=True)
def sources(here: Place, guest: Path, domain_type: str) -> Iterator[None]:
    """`framed`, a domain of libvirt's, and `blank`, which boots nothing."""
    framed, blank = (here.folder / "images" / f"{name}.qcow2" for name in ("framed", "blank"))
    shutil.copyfile(guest, framed)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", blank, "1M"], check=True)
    with here.host.connection() as libvirtd:
        domain = Domain("framed", domain_type, MAC, [framed], more=TOPOLOGY)
        libvirtd.defineXML(domain.xml())
    here.declare_vm("framed", framed)
    here.declare_vm("blank", blank)
    yield
    here.remove()
    with here.host.connection() as libvirtd:
        libvirtd.lookupByName("framed").undefine()
    with here.stack.database() as database:
        assert_nothing_left_over(database, here.uuids["ps"], here.folder / "ps")


def looked_at(here: Place, vm_uuid: str) -> tuple[bool, int, int]:
    """Whether it runs, the reason of that, and which of its lives it is."""
    with here.host.connection() as libvirtd:
        domain = libvirtd.lookupByName(vm_uuid)
        return bool(domain.isActive()), domain.state()[1], domain.ID()


def size_of(here: Place, vm_uuid: str) -> tuple[str | None, str | None]:
    domain = etree.fromstring(here.domain_xml(vm_uuid))
    return domain.findtext("vcpu"), domain.findtext("memory")


def test_a_vm_lives_its_whole_life(here: Place) -> None:
    (vm,) = here.made(here.clone("framed", "one"))
    uuid, ip = vm["uuid"], vm["vmNics"][0]["ip"]
    before = here.host.identity(ip)
    assert before["cpus"] == 1

    assert here.act(uuid, "stopVmInstance", type="grace")["state"] == "Stopped"
    assert looked_at(here, uuid)[:2] == (False, BY_ITSELF), "its guest was asked, and obeyed"

    larger = MEMORY_MIB + 64
    changed = here.act(uuid, "updateVmInstance", cpuNum=2, memorySize=larger << 20)
    assert (changed["cpuNum"], changed["memorySize"]) == (2, larger << 20)
    assert size_of(here, uuid) == ("2", str(larger << 10))

    assert here.act(uuid, "startVmInstance")["state"] == "Running"
    after = here.host.identity(ip)
    assert (after["cpus"], after["boots"]) == (2, 2)
    assert after["memory_kib"] > before["memory_kib"] + (32 << 10)
    assert after["machine_id"] == before["machine_id"]

    _, _, life = looked_at(here, uuid)
    assert here.act(uuid, "rebootVmInstance")["state"] == "Running"
    runs, _, next_life = looked_at(here, uuid)
    assert runs
    assert next_life != life
    assert here.act(uuid, "stopVmInstance", type="cold")["state"] == "Stopped"
    assert looked_at(here, uuid)[:2] == (False, BY_FORCE)

    here.act(uuid, "DELETE")
    assert not looked_at(here, uuid)[0], "it may be recovered, so its domain stays"
    assert here.act(uuid, "recoverVmInstance")["state"] == "Stopped"
    here.act(uuid, "DELETE")
    here.act(uuid, "expungeVmInstance")
    with here.host.connection() as libvirtd:
        assert uuid not in [domain.name() for domain in libvirtd.listAllDomains()]
    here.jobs.clear()


# With the limit of a guest that was asked cut short.
STOPS = """
import json, sys
from types import SimpleNamespace
from app.domain.operation import OperationPlan
from app.domain.plan import HostRef, HypervisorType
from app.domain.steps import StepName
from app.settings import Settings
from app.store.models import JobKind
from workers import operations
from workers.hypervisors import open_hypervisor

vm_uuid, = sys.argv[1:]
host = HostRef("", "h", HypervisorType.KVM)
hypervisor = open_hypervisor(host, Settings())
looks = []
operations.GRACE_S, operations.LOOK_S = 1.0, 0.2
plan = OperationPlan(JobKind.STOP, vm_uuid, "", host, (StepName.STOP_VM,), grace=True)
operations._stop(plan, hypervisor, SimpleNamespace(checkpoint=lambda: looks.append(1)))
hypervisor.shut_down(vm_uuid)
print(json.dumps([len(looks), hypervisor.is_running(vm_uuid)]))
"""


def test_a_guest_that_does_not_obey_is_powered_off(here: Place) -> None:
    """And to ask one that is off is nothing."""
    (vm,) = here.made(here.clone("blank", "deaf"))
    looks, running = here.run_inside(STOPS, vm["uuid"])
    assert looks > 1, "it had its time"
    assert not running
    assert looked_at(here, vm["uuid"])[:2] == (False, BY_FORCE)


# A worker whose libvirtd hangs, goes on, and is another one.
HANGS = """
import json, os, signal, subprocess, time
import libvirt
from app.domain.errors import HostDisconnected
from app.domain.plan import HostRef, HypervisorType
from app.settings import Settings
from workers.hypervisors import open_hypervisor
from workers.hypervisors.kvm import connection

def pid():
    return int(open("/run/libvirtd.pid").read())

host = HostRef("", "h", HypervisorType.KVM)
hypervisor, said = open_hypervisor(host, Settings()), []
connection.OPEN_LIMIT_S = 0.3
os.kill(pid(), signal.SIGSTOP)
try:
    for _ in range(2):
        try:
            hypervisor.facts()
        except HostDisconnected as error:
            said.append(error.details)
finally:
    os.kill(pid(), signal.SIGCONT)
connection.OPEN_LIMIT_S = 30
said.append(hypervisor.facts().cpu_num > 0)
known, gone = hypervisor._connection._connection, pid()
os.kill(gone, signal.SIGKILL)
while known.isAlive() or os.path.exists(f"/proc/{gone}"):
    time.sleep(0.02)
subprocess.run(["/usr/sbin/libvirtd", "--daemon"], check=True)
while True:
    try:
        libvirt.open("qemu:///system").close()
        break
    except libvirt.libvirtError:
        time.sleep(0.05)
said.append(hypervisor.facts().cpu_num > 0)
print(json.dumps(said))
"""


def test_a_libvirtd_that_hangs_is_named_and_another_one_is_found_at_once(here: Place) -> None:
    said: list[Any] = here.run_inside(HANGS)
    hangs = "looking at the host on host h: libvirtd takes no connection within 0 s; it hangs"
    assert [str(text).partition(":")[0] for text in said[:2]] == [hangs.partition(":")[0]] * 2
    assert all("it hangs: look at its log, and restart it" in text for text in said[:2])
    assert said[2:] == [True, True]
