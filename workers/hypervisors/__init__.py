"""Hypervisors. `open_hypervisor` knows which driver serves which type."""

from app.domain.errors import ToolMissing
from app.domain.plan import HostRef, HypervisorType
from app.settings import Settings
from workers.hypervisors.base import Hypervisor
from workers.hypervisors.simulator import SimulatorHypervisor


def open_hypervisor(host: HostRef, settings: Settings) -> Hypervisor:
    """Raises ToolMissing on a KVM host without libvirt's Python binding."""
    if host.hypervisor_type is HypervisorType.SIMULATOR:
        return SimulatorHypervisor(host, settings)
    try:
        # libvirt's binding is built against the host's libvirt: only KVM hosts have it.
        from workers.hypervisors.kvm.driver import KvmHypervisor
    except ImportError as error:
        raise ToolMissing(
            f"host[name:{host.name}] is a KVM host, and libvirt's Python binding cannot be loaded "
            f"({error}): install libvirt-dev, pkg-config and a C compiler, then vmclone[kvm]"
        ) from error
    return KvmHypervisor(host)
