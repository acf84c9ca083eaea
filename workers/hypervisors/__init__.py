"""Hypervisors. `open_hypervisor` knows which driver serves which type."""

from app.domain.errors import NotImplementedHere
from app.domain.plan import HostRef, HypervisorType
from app.settings import Settings
from workers.hypervisors.base import Hypervisor
from workers.hypervisors.simulator import SimulatorHypervisor


def open_hypervisor(host: HostRef, settings: Settings) -> Hypervisor:
    """Raises NotImplementedHere for a type that has no driver."""
    if host.hypervisor_type is HypervisorType.SIMULATOR:
        return SimulatorHypervisor(host, settings)
    raise NotImplementedHere(
        f"host[name:{host.name}] is of type {host.hypervisor_type}, which this version cannot "
        "drive; declare its cluster with hypervisorType: Simulator to clone volumes without VMs"
    )
