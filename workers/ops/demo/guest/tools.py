"""The programs that the guest is built with."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from app.domain.errors import OperationFailed, ToolMissing

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
# A program that the build uses, and its Debian package.
PROGRAMS = {
    "apt-get": "apt",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "dpkg": "dpkg",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "syslinux": "syslinux",
}
_LIMIT_S = 300


def missing_programs() -> list[str]:
    """Packages to install before a guest can be built here; what stands for all of them where this
    is no machine to build one on."""
    if platform.machine() != "x86_64":
        return ["a machine of x86_64"]
    wanted = [name for program, name in PROGRAMS.items() if not shutil.which(program, path=PATH)]
    return wanted + ([] if MBR.exists() else ["syslinux-common"])


def busybox() -> Path:
    """Raises ToolMissing."""
    found = shutil.which("busybox", path=PATH)
    if found is None:
        raise ToolMissing("busybox is not on this machine: install busybox-static")
    return Path(found)


def run(*command: str | Path, said: str | None = None, folder: Path | None = None) -> str:
    """What it printed. Raises ToolMissing, and OperationFailed with its words."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=said,
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise ToolMissing(f"{words[0]} is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise OperationFailed(f"{' '.join(words)}: no end after {_LIMIT_S} s") from error
    if done.returncode != 0:
        said_so = " ".join((done.stderr or done.stdout).split())[-300:]
        raise OperationFailed(f"{' '.join(words)}: {said_so}")
    return done.stdout
