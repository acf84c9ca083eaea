"""QEMU takes our overlays for its own."""

import json
from pathlib import Path

import pytest

from app.domain.plan import VolumeFormat
from tests.integration.storage.conftest import Run
from workers.storage.qcow2 import L2_COVERS, write_overlay

KIB, MIB = 1 << 10, 1 << 20
SIZES = [
    1,
    512,
    513,
    64 * KIB - 1,
    64 * KIB,
    64 * KIB + 1,
    L2_COVERS - 1,
    L2_COVERS,
    L2_COVERS + 1,
    L2_COVERS * 8192,  # the L1 table fills its first cluster
    L2_COVERS * 8192 + 1,
    8 << 40,
]


def overlay(path: Path, size: int, base: Path, base_format: VolumeFormat) -> Path:
    with path.open("w+b") as file:
        write_overlay(file.fileno(), size, str(base), base_format)
    return path


@pytest.fixture(params=list(VolumeFormat))
def base_format(request: pytest.FixtureRequest) -> VolumeFormat:
    kind: VolumeFormat = request.param
    return kind


@pytest.mark.parametrize("size", SIZES)
def test_an_overlay_of_any_size_is_clean_and_equal_to_its_base(
    tmp_path: Path, qemu_img: Run, qemu_io: Run, base_format: VolumeFormat, size: int
) -> None:
    base = tmp_path / f"base.{base_format}"
    if base_format is VolumeFormat.RAW:
        # ext4 ends at 16 TiB and this file is sparse.
        with base.open("wb") as file:
            file.truncate(size)
    else:
        qemu_img("create", "-q", "-f", base_format, base, str(size))
    if size >= 512:
        last = (size - 512) // 512 * 512
        qemu_io(base, base_format, "write -P 7 0 512", f"write -P 9 {last} 512")
    path = overlay(tmp_path / "top.qcow2", size, base, base_format)

    check = json.loads(qemu_img("check", "-f", "qcow2", "--output=json", path))
    assert check["check-errors"] == 0
    assert check.get("leaks", 0) == check.get("corruptions", 0) == 0
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", path))
    assert info["virtual-size"] == -(-size // 512) * 512
    assert info["backing-filename-format"] == base_format
    assert info["full-backing-filename"] == str(base)
    assert info["format-specific"]["data"]["compat"] == "1.1"
    compared = qemu_img("compare", "-f", "qcow2", "-F", base_format, path, base)
    assert "Images are identical." in compared


def test_what_a_guest_writes_goes_to_the_overlay_alone(
    tmp_path: Path, qemu_img: Run, qemu_io: Run
) -> None:
    base = tmp_path / "base.raw"
    base.write_bytes(b"\7" * 3 * MIB)
    size = 8 << 40
    path = overlay(tmp_path / "top.qcow2", size, base, VolumeFormat.RAW)
    qemu_io(path, "qcow2", "write -P 8 1M 64k", f"write -P 9 {size - 512} 512")
    qemu_io(path, "qcow2", "read -P 7 0 1M", "read -P 8 1M 64k", f"read -P 9 {size - 512} 512")
    qemu_img("check", "-q", "-f", "qcow2", path)
    assert base.read_bytes() == b"\7" * 3 * MIB


def test_the_longest_path_fits(tmp_path: Path, qemu_img: Run) -> None:
    folder = tmp_path
    while len(str(folder)) < 1023 - 255:
        folder /= "d" * min(200, 1022 - len(str(folder)) - 1)
    folder.mkdir(parents=True)
    base = folder / ("b" * (1023 - len(str(folder)) - 1))
    base.write_bytes(bytes(MIB))
    assert len(str(base)) == 1023
    path = overlay(tmp_path / "top.qcow2", MIB, base, VolumeFormat.RAW)
    qemu_img("check", "-q", "-f", "qcow2", path)
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", path))
    assert info["full-backing-filename"] == str(base)
