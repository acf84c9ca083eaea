"""The reader sees what a guest would: chains, holes and ends."""

from pathlib import Path

import pytest

from app.domain.errors import SourceVolumeInvalid
from app.domain.plan import BackingFile, VolumeFormat
from tests.storage import MIB
from workers.ops.demo.images import write_qcow2, write_raw
from workers.storage.qcow2 import CLUSTER, write_overlay
from workers.storage.reader import open_image

QCOW2, RAW = VolumeFormat.QCOW2, VolumeFormat.RAW


def overlay(path: Path, size: int, base: Path, base_format: VolumeFormat) -> Path:
    with path.open("w+b") as file:
        write_overlay(file.fileno(), size, str(base), base_format)
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.raw"
    write_raw(path, MIB + 100, {0: b"begin", CLUSTER - 1: b"ab", MIB: b"e" * 100})
    return path


def test_an_overlay_reads_as_its_base_and_zeroes_beyond(tmp_path: Path, base: Path) -> None:
    path = overlay(tmp_path / "top.qcow2", 2 * MIB, base, RAW)
    with open_image(str(path), QCOW2, (BackingFile(str(base), RAW),)) as image:
        assert image.read(0, 2 * MIB) == base.read_bytes().ljust(2 * MIB, b"\0")
        assert image.read(CLUSTER - 2, 4) == b"\0ab\0"
        assert image.read(2 * MIB - 1, 5) == bytes(5)


def test_allocated_ranges_are_those_of_the_whole_chain(tmp_path: Path, base: Path) -> None:
    path = overlay(tmp_path / "top.qcow2", 8 << 40, base, RAW)
    with (
        open_image(str(base), RAW) as below,
        open_image(str(path), QCOW2, (BackingFile(str(base), RAW),)) as image,
    ):
        assert list(image.allocated()) == list(below.allocated())
        assert sum(end - start for start, end in image.allocated()) < MIB


def test_neighbouring_ranges_are_one(tmp_path: Path) -> None:
    write_qcow2(tmp_path / "a.qcow2", MIB, {0: b"x" * (3 * CLUSTER), 8 * CLUSTER: b"y"})
    with open_image(str(tmp_path / "a.qcow2"), QCOW2) as image:
        assert list(image.allocated()) == [(0, 3 * CLUSTER), (8 * CLUSTER, 9 * CLUSTER)]


def test_a_chain_that_is_not_declared_is_not_read(tmp_path: Path, base: Path) -> None:
    path = overlay(tmp_path / "top.qcow2", MIB, base, RAW)
    with pytest.raises(SourceVolumeInvalid, match="none is declared"), open_image(str(path), QCOW2):
        pass


@pytest.mark.parametrize("depth", ["top", "below"])
def test_content_beyond_the_files_end_is_found(tmp_path: Path, depth: str) -> None:
    below = tmp_path / "below.qcow2"
    write_qcow2(below, MIB, {n * CLUSTER: b"x" for n in range(8)})
    top = overlay(tmp_path / "top.qcow2", MIB, below, QCOW2)
    path, backing = (top, (BackingFile(str(below), QCOW2),)) if depth == "below" else (below, ())
    with open_image(str(path), QCOW2, backing) as image:
        image.check_extent()
    with below.open("r+b") as file:
        file.truncate(file.seek(0, 2) - 2 * CLUSTER)
    with (
        open_image(str(path), QCOW2, backing) as image,
        pytest.raises(SourceVolumeInvalid, match=r"below\.qcow2 is truncated"),
    ):
        image.check_extent()
