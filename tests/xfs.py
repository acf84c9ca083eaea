"""A file system with reflinks."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.machine import PATH
from tests.requirements import require

XFS_BYTES = 600 << 20


@contextmanager
def mounted_xfs(folder: Path) -> Iterator[Path]:
    """XFS on a loop device, mounted on `folder`, which is made, and unmounted afterwards. Skips
    where that is not possible."""
    mkfs = shutil.which("mkfs.xfs", path=PATH)
    require(os.geteuid() == 0, "root mounts a loop device")
    require(mkfs, "mkfs.xfs (Debian: xfsprogs) makes a file system with reflinks")
    image = folder.with_suffix(".img")
    with image.open("wb") as stream:
        stream.truncate(XFS_BYTES)
    folder.mkdir()
    subprocess.run([str(mkfs), "-q", "-m", "reflink=1", str(image)], check=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", str(image), str(folder)], check=False, capture_output=True
    )
    require(mounted.returncode == 0, f"mount -o loop works: {mounted.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
