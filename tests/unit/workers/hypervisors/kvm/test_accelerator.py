"""Whether /dev/kvm boots anything is found out once, and again when it may be otherwise."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workers.hypervisors.kvm import accelerator
from workers.hypervisors.kvm.accelerator import KVM, TCG, domain_type


class Machine:
    def __init__(self, folder: Path) -> None:
        self.device, self.emulator = folder / "kvm", folder / "qemu"
        self.boot_id = folder / "boot_id"
        self.boots = False
        self.probes = 0
        for file in (self.device, self.emulator, self.boot_id):
            file.write_text("first\n")

    def probe(self) -> bool:
        self.probes += 1
        return self.boots


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(accelerator, "_DEVICE", made.device)
    monkeypatch.setattr(accelerator, "_BOOT_ID", made.boot_id)
    monkeypatch.setattr(accelerator, "find_emulator", lambda: str(made.emulator))
    monkeypatch.setattr(accelerator, "boots_with_kvm", made.probe)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize(("boots", "found"), [(True, KVM), (False, TCG)])
def test_it_is_probed_once(machine: Machine, home: Path, boots: bool, found: str) -> None:
    machine.boots = boots
    assert [domain_type(home) for _ in range(3)] == [found] * 3
    assert machine.probes == 1


def test_who_comes_meanwhile_waits_for_the_answer(machine: Machine, home: Path) -> None:
    with ThreadPoolExecutor() as threads:
        assert set(threads.map(domain_type, [home] * 8)) == {TCG}
    assert machine.probes == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.boot_id.write_text("second\n"),
        lambda m: m.device.chmod(0o640),  # a member of the group may open it now
        lambda m: os.replace(m.boot_id.with_name("another"), m.device),
        lambda m: m.emulator.write_text("a newer one"),
    ],
    ids=["another start", "other permissions", "a module loaded anew", "another QEMU"],
)
def test_it_is_probed_again_when_it_may_be_otherwise(
    machine: Machine, home: Path, change: Callable[[Machine], object]
) -> None:
    machine.boot_id.with_name("another").touch()
    assert domain_type(home) == TCG
    machine.boots = True
    change(machine)
    assert domain_type(home) == KVM
    assert machine.probes == 2


def test_an_answer_that_was_not_written_to_its_end_is_none(machine: Machine, home: Path) -> None:
    domain_type(home)
    kept = home / accelerator.REMEMBERED
    kept.write_text(kept.read_text()[:-1])
    machine.boots = True
    assert domain_type(home) == KVM


def test_without_a_device_nothing_is_probed(machine: Machine, home: Path) -> None:
    machine.device.unlink()
    assert domain_type(home) == TCG
    assert machine.probes == 0
    machine.device.touch()
    machine.boots = True
    assert domain_type(home) == KVM
