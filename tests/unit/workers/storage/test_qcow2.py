"""Overlays are what their headers say; headers that say more than is declared are refused."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import OperationFailed, SourceVolumeInvalid
from app.domain.plan import BackingFile, VolumeFormat
from tests.storage import MIB
from workers.ops.demo.images import write_qcow2
from workers.storage.qcow2 import CLUSTER, L2_COVERS, check_header, read_header, write_overlay

GIB = 1 << 30
PATH = "/images/golden.qcow2"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "image", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("size", "l1_entries"),
    [
        (1, 1),  # not even a sector
        (512, 1),
        (CLUSTER - 1, 1),
        (CLUSTER + 1, 1),
        (L2_COVERS - 512, 1),
        (L2_COVERS, 1),  # one L2 table, full
        (L2_COVERS + 1, 2),
        (L2_COVERS * 8192, 8192),  # 4 TiB: one cluster of L1 table, full
        (L2_COVERS * 8192 + 1, 8193),
        (8 << 40, 16384),
    ],
)
def test_an_overlay_is_what_its_header_says(file: int, size: int, l1_entries: int) -> None:
    write_overlay(file, size, "/base.raw", VolumeFormat.RAW)
    header = read_header(file, PATH)
    assert header.virtual_size == -(-size // 512) * 512
    assert header.l1_entries == l1_entries
    assert header.backing_name == "/base.raw"
    file_size = os.fstat(file).st_size
    assert file_size == 3 * CLUSTER + -(-l1_entries * 8 // CLUSTER) * CLUSTER
    check_header(header, PATH, file_size, BackingFile("/base.raw", VolumeFormat.RAW))


def test_an_overlay_takes_three_pages(file: int) -> None:
    write_overlay(file, 8 << 40, "/base.qcow2", VolumeFormat.QCOW2)
    os.fsync(file)
    assert os.fstat(file).st_blocks * 512 <= 3 * 4096


@pytest.mark.parametrize(
    ("size", "path"),
    [(MIB, "/" + "x" * 1023), (L2_COVERS * (4 << 20) + 1, "/base")],
    ids=["path", "size"],
)
def test_what_no_overlay_can_be_is_refused(file: int, size: int, path: str) -> None:
    with pytest.raises(OperationFailed, match="choose cloneMode::full"):
        write_overlay(file, size, path, VolumeFormat.RAW)


def header_with(path: Path, offset: int, layout: str, *values: object) -> Path:
    """A good image with some bytes of its header replaced."""
    write_qcow2(path, MIB, {0: b"x"})
    with path.open("r+b") as image:
        image.seek(offset)
        image.write(struct.pack(f">{layout}", *values))
    return path


def check(path: Path, backing: BackingFile | None = None) -> None:
    with path.open("rb") as image:
        header = read_header(image.fileno(), str(path))
        check_header(header, str(path), path.stat().st_size, backing)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "said"),
    [
        (0, "4s", b"QFI\0", "declared qcow2 and does not begin as one; is its format raw"),
        (4, "I", 4, "version 4 is not known"),
        (8, "Q", CLUSTER - 4, "backing file's name lies outside"),
        (20, "I", 8, r"clusters have 2\^8 bytes"),
        (20, "I", 4_000_000_000, r"clusters have 2\^4000000000"),
        (24, "Q", 1 << 62, "does not go with 1 L1 entries"),
        (24, "Q", L2_COVERS + 1, "does not go with 1 L1 entries"),
        (32, "I", 1, "encrypted"),  # AES
        (32, "I", 2, "encrypted"),  # LUKS
        (36, "I", 0, "does not go with 0 L1 entries"),
        (36, "I", 1 << 31, "does not go with 2147483648 L1 entries"),
        (40, "Q", 1 << 40, "truncated"),
        (40, "Q", 3 * CLUSTER + 1, "truncated"),
        (48, "Q", 1 << 50, "truncated"),
        (56, "I", 0, "no refcount table"),
        (56, "I", 1 << 20, "truncated"),
        (72, "Q", 1, "not closed cleanly; repair it"),
        (72, "Q", 2, "marked corrupt"),
        (72, "Q", 4, "its data lies in another file"),
        (72, "Q", 1 << 5, r"not known \(0x20\)"),
    ],
)
def test_a_header_that_cannot_be_trusted_is_refused(
    tmp_path: Path, offset: int, layout: str, value: object, said: str
) -> None:
    path = header_with(tmp_path / "a.qcow2", offset, layout, value)
    if offset == 8:
        header_with(path, offset, "QI", value, 100)
    with pytest.raises(SourceVolumeInvalid, match=said):
        check(path)


@pytest.mark.parametrize("length", [0, 3, 60, 90])
def test_a_file_that_ends_in_its_header_is_refused(tmp_path: Path, length: int) -> None:
    path = header_with(tmp_path / "a.qcow2", 4, "I", 3)
    os.truncate(path, length)
    with pytest.raises(SourceVolumeInvalid, match=r"does not begin as one|ends within its header"):
        check(path)


def backed_by(path: Path, name: str) -> Path:
    raw = name.encode()
    header_with(path, 8, "QI", 512, len(raw))
    with path.open("r+b") as image:
        image.seek(512)
        image.write(raw)
    return path


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("/images/base.raw", "/images/base.raw"),
        ("/images/x/../base.raw", "/images/base.raw"),
        ("base.raw", "{folder}/base.raw"),  # from the folder of the file that names it
        ("../base.raw", "{folder}/../base.raw"),
        ("/images/with:colon.raw", "/images/with:colon.raw"),
    ],
)
def test_the_declared_backing_file_is_accepted(tmp_path: Path, name: str, declared: str) -> None:
    path = backed_by(tmp_path / "a.qcow2", name)
    check(path, BackingFile(declared.format(folder=tmp_path), VolumeFormat.RAW))


@pytest.mark.parametrize(
    ("name", "declared", "said"),
    [
        ("/etc/shadow", None, "but none is declared"),
        ("/etc/shadow", "/images/base.raw", "but only /images/base.raw is declared"),
        ("base.raw", "/images/base.raw", "but only /images/base.raw is declared"),
        ('json:{"driver":"file","filename":"/etc/shadow"}', "/images/base.raw", "by a protocol"),
        ("nbd://10.0.0.1/x", None, "by a protocol"),
        ("fat:rw:/etc", None, "by a protocol"),
        ("/images/base.raw\0.evil", "/images/base.raw", "but only"),
    ],
)
def test_a_backing_file_that_nobody_declared_is_refused(
    tmp_path: Path, name: str, declared: str | None, said: str
) -> None:
    path = backed_by(tmp_path / "a.qcow2", name)
    with pytest.raises(SourceVolumeInvalid, match=said):
        check(path, BackingFile(declared, VolumeFormat.RAW) if declared else None)


def test_a_declared_backing_file_that_the_header_lacks_is_refused(tmp_path: Path) -> None:
    write_qcow2(tmp_path / "a.qcow2", MIB, {0: b"x"})
    with pytest.raises(SourceVolumeInvalid, match="stands on nothing"):
        check(tmp_path / "a.qcow2", BackingFile("/images/base.raw", VolumeFormat.RAW))


@given(content=st.binary(max_size=400))
def test_no_bytes_make_the_parser_fail_otherwise(content: bytes) -> None:
    descriptor = os.memfd_create("image")
    try:
        os.write(descriptor, b"QFI\xfb" + content)
        header = read_header(descriptor, PATH)
        check_header(header, PATH, len(content) + 4, None)
    except SourceVolumeInvalid:
        pass
    finally:
        os.close(descriptor)
