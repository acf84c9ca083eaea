"""What the engine asks of a host's hypervisor. A driver fulfils `Hypervisor`.

Drivers raise `app.domain.errors` only: HostDisconnected and DomainBusy, which are retried,
VmStartFailed, NetworkMissing, ForeignDomain, SourceNotCloneable, OperationFailed. Each call may be
repeated and leads to the same state; everything is named by the VM's uuid.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.guest import GuestReport
from app.domain.plan import ClonePlan, NicPlan, RunningDomain, SourceRef, SourceVolume
from workers.hypervisors.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the host has, and what runs there and is not vmclone's."""

    cpu_num: int
    memory_bytes: int
    foreign: tuple[RunningDomain, ...] = ()
    runs: frozenset[str] = frozenset()  # in the words of `Prepared.needs`


@dataclass(frozen=True, slots=True)
class Domain:
    vm_uuid: str
    running: bool


@dataclass(frozen=True, slots=True)
class SourceLook:
    """A source VM as its host has it now."""

    running: bool
    xml: str | None = None  # of its inactive domain; None where it has none, as on a simulated host
    live_xml: str | None = None  # of its running one
    nvram: bytes | None = None  # the firmware's variables
    tpm_state: bytes | None = None  # as the driver keeps it; None while it runs

    @property
    def digest(self) -> str | None:
        """Equal as long as the machine is the same."""
        if self.xml is None:
            return None
        digest = hashlib.sha256()
        for part in (self.xml.encode(), self.nvram, self.tpm_state):
            digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class DomainTemplate:
    """What a source's clones are defined from, of the moment of its base set."""

    xml: str
    live_xml: str | None = None  # where the source ran
    nvram: bytes | None = None
    tpm_state: bytes | None = None
    seed_target: str | None = None  # the disk or drive that tells the source who it is


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was found out about a source before its volumes are copied."""

    template: DomainTemplate
    targets: Mapping[str, str]  # by the volume's uuid, the name of its disk
    notes: tuple[str, ...] = ()  # what the clones will lack, one sentence each
    needs: tuple[str, ...] = ()  # what the clones' host has to run


class Hypervisor(Protocol):
    @property
    def snapshots(self) -> Snapshots | None:
        """None where no source ever runs."""

    def facts(self) -> HostFacts | None:
        """None where the host has what the inventory says. Raises HostDisconnected."""

    def look_at(self, source: SourceRef) -> SourceLook: ...

    def prepare(
        self,
        source: SourceRef,
        look: SourceLook,
        volumes: Sequence[SourceVolume],
        *,
        reset_tpm: bool,
    ) -> Prepared | None:
        """What clones of these volumes are defined from; None where a domain needs nothing.
        `reset_tpm`: some of them are to have a fresh TPM.

        Raises SourceNotCloneable."""

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

    def shut_down(self, vm_uuid: str) -> None:
        """Ask the guest to power off, without waiting for it; one that cannot be asked is left
        alone."""

    def resize(self, vm_uuid: str, cpu_num: int, memory_size: int) -> None:
        """Give a stopped domain this many CPUs and bytes of memory. Raises OperationFailed."""

    def destroy(self, vm_uuid: str) -> None:
        """Leave the domain not running (a hard power-off); absent counts as done."""

    def is_running(self, vm_uuid: str) -> bool | None:
        """None where the hypervisor does not know the VM."""

    def ask_guest(self, vm_uuid: str) -> GuestReport | None:
        """What the agent in a running guest says, within seconds; None where none answers.

        Raises HostDisconnected."""

    def leftovers(self) -> list[str]:
        """uuids of VMs that the hypervisor keeps some state of and has no domain for, whoever made
        them. `undefine` removes it. Raises HostDisconnected."""

    def list_domains(self) -> list[Domain]:
        """vmclone's own on this host, by what it wrote into them when it defined them (on KVM the
        metadata element): never by a name, which anybody may have given.

        Raises HostDisconnected."""
