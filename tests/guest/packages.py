"""What the guest is made of beside its scripts: content of Debian packages, unpacked and never
installed."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

CLOUD_KERNEL = "linux-image-cloud-amd64"
FULL_KERNEL = "linux-image-amd64"
BOOT_LOADER = "systemd-boot-efi"


class PackageMissing(Exception):
    """A package cannot be had on this machine."""


def archive(package: str, cache: Path) -> Path:
    """The package's .deb file in `cache`, downloaded if it is not there yet.

    Raises PackageMissing.
    """
    folder = cache / package
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            download = Path(work, package)
            download.mkdir()
            _download(_latest(package), download)
            download.rename(folder)
    return next(folder.glob("*.deb"))


def unpack(archives: Iterable[Path], folder: Path) -> None:
    for path in archives:
        _run("dpkg", "-x", str(path), str(folder))


def _latest(package: str) -> str:
    """The package of today's version that `package` stands for; itself where it has content."""
    depends = re.search(r"Depends: (linux-image-[0-9]\S+)", _run("apt-cache", "depends", package))
    return depends[1] if depends else package


def _download(package: str, folder: Path) -> None:
    try:
        _run("apt-get", "download", package, folder=folder)
    except PackageMissing:
        _run("apt-get", "update", "-qq")  # the lists may be older than what is offered
        _run("apt-get", "download", package, folder=folder)


def _run(*command: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise PackageMissing(f"{command[0]} is not on this machine") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise PackageMissing(f"{' '.join(command)}: {str(error.stderr)[-300:]}") from error
    return done.stdout
