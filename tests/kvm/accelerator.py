"""Which type of domain works on this machine, found by a real boot: a /dev/kvm that is there may
boot nothing."""

import os
import subprocess
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.guest.build import MEMORY_MIB, READY

_BOOT_LIMIT_S = 10  # where KVM works, the guest is up in one or two
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def domain_type(guest: Path) -> str:
    """ "kvm" or "qemu"; asked once per start of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "qemu"
    known = guest.parent / f"domain-type-{_BOOT_ID.read_text().strip()}"
    with suppress(FileNotFoundError):
        return known.read_text()
    found = "kvm" if _boots_by_kvm(guest) else "qemu"
    known.write_text(found)
    return found


def _boots_by_kvm(guest: Path) -> bool:
    words = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", str(MEMORY_MIB)]
    words += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]
    words += ["-drive", f"file={guest},format=qcow2,if=virtio,snapshot=on"]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as qemu:
        assert qemu.stdout
        limit = threading.Timer(_BOOT_LIMIT_S, qemu.kill)
        limit.start()
        try:
            return any(READY.encode() in line for line in qemu.stdout)
        finally:
            limit.cancel()
            qemu.kill()
