"""What the doctor says of a KVM host, where its libvirt says this or that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import HostDisconnected
from app.domain.plan import HostRef, HypervisorType, StorageRef, StorageType
from app.settings import Settings
from workers.hypervisors.base import HostFacts
from workers.ops.doctor import kvm
from workers.ops.doctor.findings import Check
from workers.storage import open_storage

probe = pytest.importorskip("workers.hypervisors.kvm.probe")
accelerator = pytest.importorskip("workers.hypervisors.kvm.accelerator")

HOST = HostRef("a" * 32, "h", HypervisorType.KVM)
Asked = Callable[..., dict[str, Check]]


class Libvirt:
    def facts(self) -> HostFacts:
        return HostFacts(8, 16 << 30)


@pytest.fixture
def storage(tmp_path: Path) -> StorageRef:
    made = StorageRef("b" * 32, StorageType.LOCAL, str(tmp_path / "ps"))
    open_storage(made, Settings(home=tmp_path)).initialize()
    return made


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, storage: StorageRef, tmp_path: Path) -> Asked:
    """The checks by their names' ends; `probed` is what a probe shows."""

    def asked(probed: Any = None, emulator: str | None = "/qemu", kind: str = "kvm") -> Any:
        def start_with(image: str, host: HostRef, home: Path) -> Any:
            assert Path(image).stat().st_size == 1 << 20
            return probed or probe.Probed(locked=True)

        monkeypatch.setattr(probe, "start_with", start_with)
        monkeypatch.setattr(accelerator, "domain_type", lambda _: kind)
        monkeypatch.setattr(accelerator, "find_emulator", lambda: emulator)
        checks = kvm.check_host(HOST, [storage], [], Settings(home=tmp_path))
        return {check.what.removeprefix("host h, ").partition(" in ")[0]: check for check in checks}

    monkeypatch.setattr(kvm, "open_hypervisor", lambda *_: Libvirt())
    return asked


def test_all_is_in_order(ask: Asked, storage: StorageRef) -> None:
    checks = ask()
    assert list(checks) == ["libvirt", "qemu-img", "KVM", "images", "image locks"]
    assert all(check.held for what, check in checks.items() if what != "qemu-img")
    assert list(Path(storage.url, "work").iterdir()) == []


def test_locks_that_nobody_sees_are_told_with_what_to_do(ask: Asked) -> None:
    check = ask(probe.Probed(locked=False))["image locks"]
    assert not check.held
    assert "NFS without nolock" in check.text


def test_where_no_guest_starts_nothing_is_said_of_locks(ask: Asked, storage: StorageRef) -> None:
    checks = ask(probe.Probed(fault="Permission denied"))
    assert not checks["images"].held
    assert "give QEMU's user" in checks["images"].text
    assert "image locks" not in checks
    assert list(Path(storage.url, "work").iterdir()) == []


def test_a_host_without_qemu_is_not_taken_for_one_without_kvm(ask: Asked) -> None:
    check = ask(emulator=None)["KVM"]
    assert not check.held
    assert "install qemu-system" in check.text


def test_a_kvm_that_boots_nothing_is_no_kvm(ask: Asked) -> None:
    check = ask(kind="qemu")["KVM"]
    assert not check.held
    assert "/dev/kvm" in check.text
    assert "virtualisation on in the firmware" in check.text


def test_without_libvirt_the_rest_is_left_out(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise HostDisconnected("libvirt does not answer")

    monkeypatch.setattr(kvm, "open_hypervisor", away)
    assert [(what, check.held) for what, check in ask().items()] == [("libvirt", False)]
