"""Installs what the test levels use, where that is possible: system packages on Debian or Ubuntu,
as root or with passwordless sudo, and libvirt's Python binding where it can be built. What stays
missing skips its tests by name."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_PYTHON_HEADER = f"{sysconfig.get_path('include')}/Python.h"
# What shows that a package is there, a program or a file, and the package.
PACKAGES = {
    "qemu-img": "qemu-utils",
    "mkfs.xfs": "xfsprogs",
    "mkfs.vfat": "dosfstools",
    "isoinfo": "genisoimage",
    "libvirtd": "libvirt-daemon",
    "virsh": "libvirt-clients",
    "/usr/include/libvirt/libvirt.h": "libvirt-dev",
    "pkg-config": "pkg-config",
    "gcc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
    _PYTHON_HEADER: f"python3.{sys.version_info.minor}-dev",
    "qemu-system-x86_64": "qemu-system-x86",
    "swtpm": "swtpm",
    "swtpm_setup": "swtpm-tools",
    "/usr/share/OVMF/OVMF_CODE_4M.fd": "ovmf",
    "busybox": "busybox-static",
    "syslinux": "syslinux",
    "/usr/lib/syslinux/mbr/mbr.bin": "syslinux-common",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "cpio": "cpio",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "chromium": "chromium",
}
BINDING = "libvirt"
BINDING_NEEDS = (
    "/usr/include/libvirt/libvirt.h",
    "/usr/include/stdio.h",
    _PYTHON_HEADER,
    "pkg-config",
    "gcc",
)
BINDING_LOCK = Path(__file__).parents[1] / "requirements-kvm.lock"


def main() -> int:
    lacking = missing(PACKAGES)
    if lacking:
        _install([PACKAGES[sign] for sign in lacking])
    if importlib.util.find_spec(BINDING) is None:
        _build_binding()
    return 0


def missing(signs: Iterable[str]) -> list[str]:
    """Those of the programs and files that are not on this machine."""
    return [sign for sign in signs if not _is_there(sign)]


def _is_there(sign: str) -> bool:
    return Path(sign).exists() if sign.startswith("/") else bool(shutil.which(sign, path=PATH))


def _install(packages: Sequence[str]) -> None:
    if not shutil.which("apt-get", path=PATH):
        print(f"tests that use {', '.join(packages)} will be skipped: install these packages")
        return
    print(f"installing {', '.join(packages)} for the tests …", flush=True)
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    for arguments in _apt_steps(packages):
        fault = _run([*prefix, "apt-get", *arguments])
        if fault:
            print(f"could not install them: {fault}", file=sys.stderr)
            return


def _apt_steps(packages: Sequence[str]) -> Iterator[list[str]]:
    yield ["update", "-qq"]
    yield ["install", "-y", "-qq", "--no-install-recommends", *packages]


def _build_binding() -> None:
    lacking = [PACKAGES[sign] for sign in missing(BINDING_NEEDS)]
    if lacking:
        print(f"tests on KVM hosts will be skipped: libvirt-python needs {', '.join(lacking)}")
        return
    print("building libvirt-python for the tests …", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    fault = _run([*pip, "--require-hashes", "-r", str(BINDING_LOCK)])
    if fault:
        print(f"tests on KVM hosts will be skipped: {fault}", file=sys.stderr)


def _run(command: Sequence[str]) -> str | None:
    """What it said where it failed."""
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    except FileNotFoundError as error:  # without sudo
        return str(error)
    said = done.stderr.strip()[-500:] or f"exit status {done.returncode}"
    return said if done.returncode else None


if __name__ == "__main__":
    raise SystemExit(main())
