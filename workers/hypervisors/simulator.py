"""A simulated host: a small state machine of domains, kept in files that survive a process."""

from collections.abc import Sequence

from app.domain.errors import OperationFailed, VmStartFailed
from app.domain.plan import ClonePlan, HostRef, NicPlan, SourceRef, SourceVolume
from app.settings import Settings
from workers.hypervisors.base import Domain, DomainTemplate, SourceLook
from workers.simulation import simulate
from workers.state_files import StateFiles


class SimulatorHypervisor:
    def __init__(self, host: HostRef, settings: Settings) -> None:
        folder = settings.home / "simulator" / host.uuid
        self._settings = settings
        self._nics = StateFiles(folder / "nics")
        self._defined = StateFiles(folder / "defined")
        self._running = StateFiles(folder / "running")

    @property
    def snapshots(self) -> None:
        """A running source is copied as a stopped one."""

    def facts(self) -> None:
        """What the inventory says."""

    def look_at(self, source: SourceRef) -> SourceLook:  # noqa: ARG002
        return SourceLook(running=False)

    def prepare(
        self,
        source: SourceRef,
        look: SourceLook,
        volumes: Sequence[SourceVolume],
        *,
        reset_tpm: bool,
    ) -> None:
        """A domain of this kind is made of nothing."""

    def attach_nics(self, plan: ClonePlan) -> None:
        simulate("attach_nics", self._settings)
        for nic in plan.nics:
            self._nics.add(nic.uuid)

    def detach_nics(self, nics: Sequence[NicPlan]) -> None:
        simulate("detach_nics", self._settings)
        for nic in nics:
            self._nics.remove(nic.uuid)

    def define(self, plan: ClonePlan, template: DomainTemplate | None) -> None:  # noqa: ARG002
        simulate("define", self._settings)
        self._defined.add(plan.vm_uuid)

    def undefine(self, vm_uuid: str) -> None:
        """Raises OperationFailed for a running domain: its volumes would go next."""
        simulate("undefine", self._settings)
        if self.is_running(vm_uuid):
            raise OperationFailed(
                f"vm[uuid:{vm_uuid}] is running on this simulated host: destroy it first"
            )
        self._running.remove(vm_uuid)
        self._defined.remove(vm_uuid)

    def start(self, vm_uuid: str) -> None:
        simulate("start", self._settings)
        if vm_uuid not in self._defined:
            raise VmStartFailed(f"vm[uuid:{vm_uuid}] is not defined on this simulated host")
        self._running.add(vm_uuid)

    def shut_down(self, vm_uuid: str) -> None:
        """A simulated guest goes at once."""
        simulate("shut_down", self._settings)
        self._running.remove(vm_uuid)

    def resize(self, vm_uuid: str, cpu_num: int, memory_size: int) -> None:  # noqa: ARG002
        simulate("resize", self._settings)
        if vm_uuid not in self._defined:
            raise OperationFailed(f"vm[uuid:{vm_uuid}] is not defined on this simulated host")

    def destroy(self, vm_uuid: str) -> None:
        simulate("destroy", self._settings)
        self._running.remove(vm_uuid)

    def is_running(self, vm_uuid: str) -> bool | None:
        return vm_uuid in self._running if vm_uuid in self._defined else None

    def ask_guest(self, vm_uuid: str) -> None:
        """There is no guest."""

    def leftovers(self) -> list[str]:
        return []

    def list_domains(self) -> list[Domain]:
        running = set(self._running.names())
        return [Domain(uuid, uuid in running) for uuid in self._defined.names()]
