"""Sizes come from the files themselves, and only from what they are declared to be."""

from pathlib import Path

import pytest

from app.domain.plan import BackingFile, VolumeFormat
from workers.ops.demo.images import write_qcow2, write_raw
from workers.ops.inventory.files import size_of

MIB = 1 << 20


def test_a_qcow2_says_its_virtual_size(tmp_path: Path) -> None:
    write_qcow2(tmp_path / "a.qcow2", 64 * MIB, {0: b"x"})
    assert size_of(str(tmp_path / "a.qcow2"), VolumeFormat.QCOW2, None) == 64 * MIB


def test_a_raw_image_is_as_large_as_its_file(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.raw", 3 * MIB, {0: b"x"})
    assert size_of(str(tmp_path / "a.raw"), VolumeFormat.RAW, None) == 3 * MIB


def test_what_is_declared_raw_is_raw_whatever_it_begins_with(tmp_path: Path) -> None:
    write_qcow2(tmp_path / "a", 64 * MIB, {})
    assert size_of(str(tmp_path / "a"), VolumeFormat.RAW, None) == (tmp_path / "a").stat().st_size


def test_a_file_that_is_not_here_has_no_size(tmp_path: Path) -> None:
    assert size_of(str(tmp_path / "none"), VolumeFormat.RAW, None) is None
    assert size_of(str(tmp_path / "none" / "below"), VolumeFormat.RAW, None) is None


def test_what_is_no_qcow2_is_refused(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.raw", MIB, {0: b"x"})
    with pytest.raises(ValueError, match=r"a\.raw"):
        size_of(str(tmp_path / "a.raw"), VolumeFormat.QCOW2, None)


def test_a_symbolic_link_is_refused_with_what_it_points_to(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.raw", MIB, {})
    (tmp_path / "link").symlink_to(tmp_path / "a.raw")
    with pytest.raises(ValueError, match=r"link is a symbolic link; declare .*/a\.raw itself"):
        size_of(str(tmp_path / "link"), VolumeFormat.RAW, None)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a regular file"):
        size_of(str(tmp_path), VolumeFormat.RAW, None)


def test_a_backing_file_that_is_declared_and_not_in_the_header_is_refused(tmp_path: Path) -> None:
    write_qcow2(tmp_path / "a.qcow2", MIB, {})
    below = BackingFile("/images/base.raw", VolumeFormat.RAW)
    with pytest.raises(ValueError, match=r"/images/base\.raw"):
        size_of(str(tmp_path / "a.qcow2"), VolumeFormat.QCOW2, below)
