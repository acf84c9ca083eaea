"""A domain that libvirt was starting when it died is active for a moment, and then shut off."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DomainBusy
from app.domain.plan import HostRef, HypervisorType
from tests.requirements import require

require(find_spec("libvirt"), "libvirt-python (requirements-kvm.lock)")

import libvirt  # noqa: E402

from workers.hypervisors.kvm import driver, starting  # noqa: E402

KvmHypervisor: Any = driver.KvmHypervisor

STARTING = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP]
RUNNING = [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED]
SHUT_OFF = [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON]


class Domain:
    """Its states come one a look, the last one for good."""

    def __init__(self, *states: list[int]) -> None:
        self._states = list(states)
        self.told: list[str] = []

    def state(self) -> list[int]:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def isActive(self) -> int:  # noqa: N802 - libvirt's name
        return int(self._states[0] != SHUT_OFF)

    def create(self) -> None:
        self.told.append("create")

    def destroy(self) -> None:
        self.told.append("destroy")


class Connection:
    @contextmanager
    def opened(self, _doing: str, _otherwise: Any) -> Iterator[Any]:
        yield self


@pytest.fixture
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(driver, "ours", lambda libvirtd, _: libvirtd.domain)
    monkeypatch.setattr(starting, "LOOK_S", 0)
    connection = Connection()
    made = KvmHypervisor(HostRef("a" * 32, "h", HypervisorType.KVM), tmp_path, connection)
    made.connection = connection
    return made


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([STARTING, STARTING, RUNNING], []),
        ([STARTING, STARTING, SHUT_OFF], ["create"]),
        ([SHUT_OFF], ["create"]),
        ([RUNNING], []),
    ],
    ids=["comes up", "is ended", "was off", "ran"],
)
def test_a_start_is_not_done_before_the_guest_runs(
    kvm: Any, states: list[list[int]], told: list[str]
) -> None:
    kvm.connection.domain = Domain(*states)
    kvm.start("b" * 32)
    assert kvm.connection.domain.told == told


def test_a_start_that_hangs_is_tried_again(kvm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "SETTLES_WITHIN_S", 0)
    kvm.connection.domain = Domain(STARTING)
    with pytest.raises(DomainBusy, match="being started"):
        kvm.start("b" * 32)


@pytest.mark.parametrize(
    ("states", "within_s", "told"),
    [
        ([STARTING, STARTING, SHUT_OFF], 60, []),
        ([STARTING, STARTING, RUNNING], 60, ["destroy"]),
        ([STARTING], 0, ["destroy"]),
    ],
    ids=["is ended", "comes up", "hangs"],
)
def test_a_destroy_waits_for_what_becomes_of_a_start(
    kvm: Any,
    monkeypatch: pytest.MonkeyPatch,
    states: list[list[int]],
    within_s: float,
    told: list[str],
) -> None:
    monkeypatch.setattr(starting, "SETTLES_WITHIN_S", within_s)
    kvm.connection.domain = Domain(*states)
    kvm.destroy("b" * 32)
    assert kvm.connection.domain.told == told
