"""The demo's images hold what they were given, the same on every machine."""

from pathlib import Path

import pytest

from app.domain.plan import VolumeFormat
from workers.ops.demo.images import CLUSTER, Content, sample, write_qcow2, write_raw
from workers.storage.reader import open_image

MIB = 1 << 20


def read(path: Path, image_format: VolumeFormat) -> bytes:
    with open_image(str(path), image_format) as image:
        return image.read(0, image.virtual_size)


def expected(size: int, content: Content) -> bytes:
    whole = bytearray(size)
    for offset, value in content.items():
        whole[offset : offset + len(value)] = value
    return bytes(whole)


def test_both_formats_read_as_what_was_written(tmp_path: Path) -> None:
    content = sample("a test", 4 * MIB, extents=5, extent_bytes=2 * CLUSTER)
    write_qcow2(tmp_path / "a.qcow2", 4 * MIB, content)
    write_raw(tmp_path / "a.raw", 4 * MIB, content)
    whole = expected(4 * MIB, content)
    assert read(tmp_path / "a.qcow2", VolumeFormat.QCOW2) == whole
    assert read(tmp_path / "a.raw", VolumeFormat.RAW) == whole


def test_holes_take_no_room(tmp_path: Path) -> None:
    write_qcow2(tmp_path / "a.qcow2", 256 * MIB, {128 * MIB: b"x"})
    assert (tmp_path / "a.qcow2").stat().st_size == 6 * CLUSTER


def test_a_sample_is_always_the_same_and_begins_with_a_marker() -> None:
    first, second = (sample("root", MIB, extents=3, extent_bytes=CLUSTER) for _ in range(2))
    assert first == second
    assert first[0] == b"vmclone demo: root\n"
    assert len(first) == 4


def test_content_between_clusters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not begin with a cluster"):
        write_qcow2(tmp_path / "a.qcow2", MIB, {1: b"x"})
    assert list(tmp_path.glob("*.qcow2")) == []
