"""Labels that other programs write are read as blkid reads them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.plan import VolumeFormat
from tests.integration.guest.programs import run
from tests.storage import MIB
from workers.guest.labels import is_seed, label_at
from workers.guest.seed import make_seed

Make = Callable[[Path], object]


def fat(bits: int, label: str) -> Make:
    return lambda path: run("dosfstools", "mkfs.vfat", f"-F{bits}", "-n", label, path)


def ext(kind: str, label: str) -> Make:
    return lambda path: run("e2fsprogs", "mke2fs", "-q", "-t", kind, "-L", label, path)


@pytest.mark.parametrize(
    ("make", "label", "seed"),
    [
        (lambda path: path.write_bytes(make_seed({"meta-data": b"x"})), "cidata", True),
        (fat(12, "CIDATA"), "CIDATA", True),
        (fat(16, "CIDATA"), "CIDATA", True),
        (fat(32, "CONFIG-2"), "CONFIG-2", True),
        (fat(32, "EFI SYSTEM"), "EFI SYSTEM", False),
        (ext("ext4", "config-2"), "config-2", True),
        (ext("ext2", "root"), "root", False),
        (lambda path: None, None, False),
    ],
)
@pytest.mark.parametrize("file_format", list(VolumeFormat))
def test_a_label_is_read(
    tmp_path: Path, make: Make, label: str | None, seed: bool, file_format: VolumeFormat
) -> None:
    raw = tmp_path / "drive.raw"
    raw.touch()
    # Enough for each of them: a FAT32 file system has 65,525 clusters at the least.
    with raw.open("r+b") as file:
        file.truncate(64 * MIB)
    make(raw)
    path = raw
    if file_format is VolumeFormat.QCOW2:
        path = tmp_path / "drive.qcow2"
        run("qemu-utils", "qemu-img", "convert", "-O", "qcow2", raw, path)
    assert label_at(str(path), file_format) == label
    assert is_seed(str(path), file_format) is seed
