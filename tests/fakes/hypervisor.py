"""A host's hypervisor in memory that can be told what to raise, and when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.domain.errors import VmStartFailed
from app.domain.guest import GuestReport
from app.domain.plan import ClonePlan, NicPlan, SourceRef, SourceVolume
from workers.hypervisors.base import Domain, DomainTemplate, Prepared, SourceLook
from workers.hypervisors.snapshots import Snapshots


@dataclass
class FakeHypervisor:
    """`domains` maps each defined VM's uuid to whether it runs."""

    domains: dict[str, bool] = field(default_factory=dict)
    nics: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    agents: dict[str, GuestReport] = field(default_factory=dict)  # by VM, those that answer
    deaf: bool = False  # guests do not power off when they are asked to
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # after a resize
    notes: tuple[str, ...] = ()  # what clones will lack
    needs: tuple[str, ...] = ()  # what their host has to run
    snapshots: Snapshots | None = None
    source_runs: bool = False

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def facts(self) -> None:
        """What the inventory says."""

    def look_at(self, source: SourceRef) -> SourceLook:
        return SourceLook(running=self.source_runs)

    def prepare(
        self,
        source: SourceRef,
        look: SourceLook,
        volumes: Sequence[SourceVolume],
        *,
        reset_tpm: bool,
    ) -> Prepared:
        targets = {volume.uuid: f"vd{number}" for number, volume in enumerate(volumes)}
        return Prepared(
            DomainTemplate("<domain/>", tpm_state=b"tpm"), targets, self.notes, self.needs
        )

    def attach_nics(self, plan: ClonePlan) -> None:
        self._called("attach_nics")
        self.nics |= {nic.uuid for nic in plan.nics}

    def detach_nics(self, nics: Sequence[NicPlan]) -> None:
        self._called("detach_nics")
        self.nics -= {nic.uuid for nic in nics}

    def define(self, plan: ClonePlan, template: DomainTemplate | None) -> None:
        self._called("define")
        self.domains.setdefault(plan.vm_uuid, False)

    def undefine(self, vm_uuid: str) -> None:
        self._called("undefine")
        self.domains.pop(vm_uuid, None)

    def start(self, vm_uuid: str) -> None:
        self._called("start")
        if vm_uuid not in self.domains:
            raise VmStartFailed(f"vm[uuid:{vm_uuid}] is not defined")
        self.domains[vm_uuid] = True

    def shut_down(self, vm_uuid: str) -> None:
        self._called("shut_down")
        if vm_uuid in self.domains and not self.deaf:
            self.domains[vm_uuid] = False

    def resize(self, vm_uuid: str, cpu_num: int, memory_size: int) -> None:
        self._called("resize")
        self.sizes[vm_uuid] = (cpu_num, memory_size)

    def destroy(self, vm_uuid: str) -> None:
        self._called("destroy")
        if vm_uuid in self.domains:
            self.domains[vm_uuid] = False

    def is_running(self, vm_uuid: str) -> bool | None:
        return self.domains.get(vm_uuid)

    def ask_guest(self, vm_uuid: str) -> GuestReport | None:
        self._called("ask_guest")
        return self.agents.get(vm_uuid)

    def leftovers(self) -> list[str]:
        return []

    def list_domains(self) -> list[Domain]:
        return [Domain(uuid, running) for uuid, running in self.domains.items()]
