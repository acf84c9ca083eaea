"""What the engine asks of a host's hypervisor. A driver fulfils `Hypervisor`.

Drivers raise `app.domain.errors` only: HostDisconnected and DomainBusy, which are retried,
VmStartFailed, NetworkMissing, ForeignDomain, SourceNotCloneable, OperationFailed. Each call may be
repeated and leads to the same state; everything is named by the VM's uuid.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.plan import ClonePlan, NicPlan, RunningDomain, SourceRef, SourceVolume
from workers.hypervisors.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the host has, and what runs there and is not vmclone's."""

    cpu_num: int
    memory_bytes: int
    foreign: tuple[RunningDomain, ...] = ()


@dataclass(frozen=True, slots=True)
class Domain:
    vm_uuid: str
    running: bool


@dataclass(frozen=True, slots=True)
class SourceLook:
    """A source VM as its host has it now."""

    running: bool
    xml: str | None = None  # of its inactive domain; None where it has none, as on a simulated host
    nvram: bytes | None = None  # the firmware's variables

    @property
    def digest(self) -> str | None:
        """Equal as long as the machine is the same."""
        if self.xml is None:
            return None
        return hashlib.sha256(self.xml.encode() + (self.nvram or b"")).hexdigest()


@dataclass(frozen=True, slots=True)
class DomainTemplate:
    """What a source's clones are defined from, of the moment of its base set."""

    xml: str
    nvram: bytes | None = None  # the firmware's variables


class Hypervisor(Protocol):
    @property
    def snapshots(self) -> Snapshots | None:
        """None where no source ever runs."""

    def facts(self) -> HostFacts | None:
        """None where the host has what the inventory says. Raises HostDisconnected."""

    def look_at(self, source: SourceRef) -> SourceLook: ...

    def template(
        self, look: SourceLook, bases: Sequence[tuple[SourceVolume, str]]
    ) -> DomainTemplate | None:
        """What its clones are defined from, given the base's uuid of each volume that is cloned;
        None where a domain needs no template. Raises SourceNotCloneable."""

    def attach_nics(self, plan: ClonePlan) -> None:
        """Prepare what the host's network needs for the plan's NICs. Raises NetworkMissing."""

    def detach_nics(self, nics: Sequence[NicPlan]) -> None:
        """Take `attach_nics` back; absent counts as done."""

    def define(self, plan: ClonePlan, template: DomainTemplate | None) -> None:
        """Make the domain known, stopped, with a firmware state of its own."""

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
