"""Installs the system packages that the test levels use, where that is possible: Debian or Ubuntu,
as root or with passwordless sudo. What stays missing skips its tests by name."""

import os
import shutil
import subprocess
import sys

# A program that shows the package is there, and the package.
PACKAGES = {
    "qemu-img": "qemu-utils",
    "mkfs.xfs": "xfsprogs",
    "mkfs.vfat": "dosfstools",
    "isoinfo": "genisoimage",
}
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def main() -> int:
    missing = [
        package for program, package in PACKAGES.items() if not shutil.which(program, path=PATH)
    ]
    if not missing:
        return 0
    if not shutil.which("apt-get"):
        print(f"tests that use {', '.join(missing)} will be skipped: install these packages")
        return 0
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print(f"installing {', '.join(missing)} for the tests …", flush=True)
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", *missing]):
        done = subprocess.run(
            [*prefix, "apt-get", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode:
            print(f"could not install them: {done.stderr.strip()[-500:]}", file=sys.stderr)
            return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
