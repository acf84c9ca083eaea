"""What the engine asks of a host's hypervisor. A driver is one file that fulfils `Hypervisor`.

Drivers raise `app.domain.errors` only: HostDisconnected, VmStartFailed, OperationFailed. Each call
may be repeated and leads to the same state; everything is named by the VM's uuid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.plan import ClonePlan, NicPlan


@dataclass(frozen=True, slots=True)
class HostFacts:
    cpu_num: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Domain:
    vm_uuid: str
    running: bool


class Hypervisor(Protocol):
    def attach_nics(self, plan: ClonePlan) -> None:
        """Prepare what the host's network needs for the plan's NICs."""

    def detach_nics(self, nics: Sequence[NicPlan]) -> None:
        """Take `attach_nics` back; absent counts as done."""

    def define(self, plan: ClonePlan) -> None:
        """Make the domain known, stopped."""

    def undefine(self, vm_uuid: str) -> None:
        """Forget the domain and all state the hypervisor keeps for it; absent counts as done."""

    def start(self, vm_uuid: str) -> None:
        """Leave the domain running."""

    def destroy(self, vm_uuid: str) -> None:
        """Leave the domain not running (a hard power-off); absent counts as done."""

    def is_running(self, vm_uuid: str) -> bool | None:
        """None where the hypervisor does not know the VM."""

    def list_domains(self) -> list[Domain]:
        """vmclone's own on this host, by what it wrote into them when it defined them (on KVM the
        metadata element): never by a name, which anybody may have given.

        Raises HostDisconnected."""
