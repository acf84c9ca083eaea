"""What the demo needs of this machine, asked before anything is made."""

import os
import platform
import shutil
from pathlib import Path

from app.domain.errors import HostDisconnected, ToolMissing
from app.endpoints import ConfigurationError
from app.settings import Settings
from workers.hypervisors import require_binding
from workers.hypervisors.kvm.accelerator import find_emulator
from workers.ops.demo.guest import tools
from workers.ops.demo.kvm import image

_OTHER_IMAGE = "or give an image of your own by --image FILE"


def check(settings: Settings, uri: str, given: Path | None) -> None:
    """Raises ConfigurationError, ToolMissing, HostDisconnected and InvalidArgument, each with the
    way out."""
    if os.geteuid() != 0:
        raise ConfigurationError(
            "the demo on KVM defines domains in this host's libvirt and writes their disks, which "
            "is root's to do: run it as root"
        )
    if not settings.embedded:
        raise ConfigurationError(
            "the demo on KVM brings servers of its own and takes them away again: unset "
            "VMCLONE_DATABASE_URL and VMCLONE_BROKER_URL"
        )
    if given is not None:
        image.given(given)
    _check_programs(builds=given is None)
    require_binding("the demo runs on this libvirt host")
    _check_libvirtd(uri)


def _check_programs(*, builds: bool) -> None:
    if builds and platform.machine() != "x86_64":
        raise ToolMissing(
            f"the demo's guest is built for x86_64, and this machine is {platform.machine()}: "
            "give an image of your own by --image FILE"
        )
    if builds and not shutil.which("apt-get", path=tools.PATH):
        raise ToolMissing(
            "the demo's guest is built from Debian packages, and this machine has no apt-get: "
            "give an image of your own by --image FILE"
        )
    packages = [] if find_emulator() else ["qemu-system-x86"]
    packages += [] if shutil.which("ip", path=tools.PATH) else ["iproute2"]
    if packages:
        raise ToolMissing(
            "the demo runs guests by QEMU on a bridge of its own, and this machine lacks what "
            f"that takes: apt-get install {' '.join(packages)}"
        )
    if builds and (lacking := tools.missing_programs()):
        raise ToolMissing(
            "the demo's guest cannot be built with what this machine has: apt-get install "
            f"{' '.join(lacking)}, {_OTHER_IMAGE}"
        )


def _check_libvirtd(uri: str) -> None:
    from workers.hypervisors.kvm import demo_host

    try:
        demo_host.look(uri)
    except HostDisconnected as error:
        raise HostDisconnected(
            f"{error.details} On Debian and Ubuntu: apt-get install libvirt-daemon-system, then "
            "systemctl start libvirtd"
        ) from error
