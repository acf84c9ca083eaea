"""Hypervisors. `open_hypervisor` knows which driver serves which type."""

import sys
from typing import TYPE_CHECKING

from app.domain.errors import ToolMissing
from app.domain.plan import HostRef, HypervisorType
from app.settings import Settings
from workers.hypervisors.base import Hypervisor
from workers.hypervisors.simulator import SimulatorHypervisor

if TYPE_CHECKING:
    from workers.hypervisors.kvm.host_view import HostView


def open_hypervisor(host: HostRef, settings: Settings) -> Hypervisor:
    """Raises ToolMissing on a KVM host without libvirt's Python binding."""
    if host.hypervisor_type is HypervisorType.SIMULATOR:
        return SimulatorHypervisor(host, settings)
    try:
        # libvirt's binding is built against the host's libvirt: only KVM hosts have it.
        from workers.hypervisors.kvm.driver import KvmHypervisor
    except ImportError as error:
        raise _no_binding(f"host[name:{host.name}] is a KVM host", error) from error
    return KvmHypervisor(host, settings.home)


def look_at_host(uri: str) -> "HostView":
    """All of this machine's libvirt host. Raises ToolMissing without libvirt's Python binding."""
    try:
        from workers.hypervisors.kvm.host_look import look_at_host as look
    except ImportError as error:
        raise _no_binding("this host is to be looked at", error) from error
    return look(uri)


def require_binding(what: str) -> None:
    """`what` needs it, in a few words. Raises ToolMissing without libvirt's Python binding."""
    try:
        import libvirt  # noqa: F401
    except ImportError as error:
        raise _no_binding(what, error) from error


def _no_binding(what: str, error: ImportError) -> ToolMissing:
    return ToolMissing(
        f"{what}, and libvirt's Python binding cannot be loaded ({error}). In vmclone's folder, on "
        "Debian and Ubuntu: apt-get install libvirt-dev pkg-config gcc python3-dev, then "
        f"{sys.executable} -m pip install --require-hashes -r requirements-kvm.lock"
    )
