"""What the guest is made of beside its scripts: content of Debian packages, unpacked and never
installed."""

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from app.domain.errors import CloneError, OperationFailed, ToolMissing
from workers.ops.demo.guest.tools import run

# Of Debian's cloud images: it sees drives on virtio, SCSI and IDE only, and boots sooner under
# emulation than one for all hardware.
KERNEL = "linux-image-cloud-amd64"
BOOT_LOADER = "systemd-boot-efi"


def archive(package: str, cache: Path) -> Path:
    """The package's .deb file in `cache`, downloaded if it is not there yet.

    Raises ToolMissing where it cannot be had on this machine.
    """
    folder = cache / package
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            download = Path(work, package)
            download.mkdir()
            try:
                _download(_latest(package), download)
            except CloneError as error:
                raise ToolMissing(
                    f"package {package}, which the guest is built from, cannot be had here "
                    f"({error.details})"
                ) from error
            download.rename(folder)
    return next(folder.glob("*.deb"))


def unpack(archives: Iterable[Path], folder: Path) -> None:
    for path in archives:
        run("dpkg", "-x", path, folder)


def _latest(package: str) -> str:
    """The package of today's version that `package` stands for; itself where it has content."""
    depends = re.search(r"Depends: (linux-image-[0-9]\S+)", run("apt-cache", "depends", package))
    return depends[1] if depends else package


def _download(package: str, folder: Path) -> None:
    try:
        run("apt-get", "download", package, folder=folder)
    except OperationFailed:
        run("apt-get", "update", "-qq")  # the lists may be older than what is offered
        run("apt-get", "download", package, folder=folder)
