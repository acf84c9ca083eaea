"""A simulated host goes from state to state as a real one and remembers it across processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.errors import OperationFailed, VmStartFailed
from app.domain.plan import (
    BaseFile,
    CloneMethod,
    ClonePlan,
    CloneStrategy,
    HostRef,
    HypervisorType,
    NicPlan,
    StorageRef,
    StorageType,
    VolumeFormat,
)
from app.settings import Settings
from tests.factories import new_uuid
from tests.storage import Shelf
from workers.hypervisors import open_hypervisor
from workers.hypervisors.base import Hypervisor

HOST = HostRef(new_uuid(), "host-1", HypervisorType.SIMULATOR)


def open_again(home: Path) -> Hypervisor:
    """As another process would."""
    return open_hypervisor(HOST, Settings(home=home))


@pytest.fixture
def plan(tmp_path: Path) -> ClonePlan:
    ref = StorageRef(new_uuid(), StorageType.SIMULATOR, "/simulated")
    base = BaseFile(new_uuid(), ref, "/simulated/b.qcow2", VolumeFormat.QCOW2, 1 << 30)
    nic = NicPlan(
        uuid=new_uuid(),
        device_id=0,
        mac="fa:00:00:00:00:01",
        internal_name="vnic1.0",
        l3_network_uuid=new_uuid(),
        bridge=None,
        driver_type="virtio",
        ip=None,
        netmask=None,
        gateway=None,
    )
    return ClonePlan(
        vm_uuid=new_uuid(),
        vm_name="web-1",
        host=HOST,
        cpu_num=1,
        memory_size=1 << 30,
        platform="Linux",
        architecture="x86_64",
        strategy=CloneStrategy.INSTANT_START,
        volumes=(Shelf(tmp_path / "ps-1").plan(base, CloneMethod.LINKED),),
        nics=(nic,),
    )


def left_over(home: Path) -> set[str]:
    return {file.name for file in home.rglob("*") if file.is_file() and file.suffix != ".one"}


def test_a_domain_goes_through_its_life(tmp_path: Path, plan: ClonePlan) -> None:
    home = tmp_path / "home"
    seen: list[bool | None] = []
    calls: tuple[Callable[[], None], ...] = (
        lambda: open_again(home).attach_nics(plan),
        lambda: open_again(home).define(plan, None),
        lambda: open_again(home).start(plan.vm_uuid),
        lambda: open_again(home).define(plan, None),  # again, after a crash: it stays running
        lambda: open_again(home).destroy(plan.vm_uuid),
        lambda: open_again(home).undefine(plan.vm_uuid),
        lambda: open_again(home).detach_nics(plan.nics),
    )
    for call in calls:
        for _ in range(2):  # each of them twice is once
            call()
        seen.append(open_again(home).is_running(plan.vm_uuid))
    assert seen == [None, False, True, True, False, None, None]
    assert left_over(home) == set()


def test_an_undefined_domain_does_not_start(tmp_path: Path, plan: ClonePlan) -> None:
    with pytest.raises(VmStartFailed, match="is not defined"):
        open_again(tmp_path / "home").start(plan.vm_uuid)
    assert open_again(tmp_path / "home").is_running(plan.vm_uuid) is None


def test_a_running_domain_is_not_forgotten(tmp_path: Path, plan: ClonePlan) -> None:
    host = open_again(tmp_path / "home")
    host.define(plan, None)
    host.start(plan.vm_uuid)
    with pytest.raises(OperationFailed, match="destroy it first"):
        host.undefine(plan.vm_uuid)
    assert host.is_running(plan.vm_uuid) is True


def test_undo_of_what_never_was_is_done(tmp_path: Path, plan: ClonePlan) -> None:
    host = open_again(tmp_path / "home")
    host.destroy(plan.vm_uuid)
    host.undefine(plan.vm_uuid)
    host.detach_nics(plan.nics)
    assert left_over(tmp_path / "home") == set()
