"""A seed is told by its label; whatever else a guest wrote is no more than unlabelled."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.errors import SourceVolumeInvalid
from app.domain.plan import VolumeFormat
from tests.storage import MIB
from workers.guest.labels import Read, is_seed, label_at, label_of
from workers.guest.seed import SECTOR, make_seed
from workers.ops.demo.images import write_qcow2

ISO = make_seed({"meta-data": b"x"})


def reader(content: bytes) -> Read:
    return lambda offset, length: content[offset : offset + length]


def replaced(content: bytes, changes: dict[int, bytes]) -> bytes:
    image = bytearray(content.ljust(max(o + len(b) for o, b in changes.items()), b"\0"))
    for offset, new in changes.items():
        image[offset : offset + len(new)] = new
    return bytes(image)


def fat(
    *, wide: bool = False, boot_label: bytes = b"", root: bytes = b"", sector: int = 512
) -> bytes:
    """The boot sector and root folder of FAT16, or of FAT32, with one FAT of one sector."""
    start = 66 if wide else 38
    changes = {
        0: b"\xeb\x3c\x90mkfs.fat",
        11: struct.pack("<HBHBH", sector, 4, 1, 1, 0 if wide else 16),
        start: b"\x29abcd" + boot_label.ljust(11) + (b"FAT32   " if wide else b"FAT16   "),
        510: b"\x55\xaa",
        2 * sector: root.ljust(512, b"\0"),
    }
    changes |= {36: struct.pack("<I", 1), 44: struct.pack("<I", 2)} if wide else {22: b"\1\0"}
    return replaced(b"", changes)


def entry(name: bytes, attributes: int) -> bytes:
    return name.ljust(11) + bytes([attributes]) + bytes(20)


def ext(label: bytes) -> bytes:
    return replaced(b"", {1024 + 56: b"\x53\xef", 1024 + 120: label.ljust(16, b"\0")})


@pytest.mark.parametrize(
    ("content", "label"),
    [
        pytest.param(ISO, "cidata", id="our own seed"),
        pytest.param(replaced(ISO, {16 * SECTOR + 40: b"config-2"}), "config-2", id="primary"),
        pytest.param(replaced(ISO, {16 * SECTOR + 40: b" " * 32}), "cidata", id="Joliet's"),
        pytest.param(
            replaced(ISO, {16 * SECTOR + 40: b" " * 32, 17 * SECTOR + 88: b"   "}),
            None,
            id="a supplementary volume that is not Joliet's",
        ),
        pytest.param(replaced(ISO, {16 * SECTOR + 1: b"CD002"}), None, id="no ISO 9660"),
        pytest.param(ISO[: 16 * SECTOR + 20], None, id="cut within its descriptor"),
        pytest.param(fat(boot_label=b"CIDATA"), "CIDATA", id="boot sector"),
        pytest.param(fat(wide=True, boot_label=b"cidata"), "cidata", id="FAT32's boot sector"),
        pytest.param(
            fat(boot_label=b"NO NAME", root=entry(b"README  TXT", 0x20) + entry(b"CIDATA", 8)),
            "CIDATA",
            id="root folder",
        ),
        pytest.param(
            fat(wide=True, boot_label=b"NO NAME", root=entry(b"config-2", 0x28)),
            "config-2",
            id="FAT32's root folder",
        ),
        pytest.param(
            fat(boot_label=b"BOOT", root=entry(b"\xe5IDATA", 8) + entry(b"Acidata", 0x0F)),
            "BOOT",
            id="deleted, and part of a long name",
        ),
        pytest.param(
            fat(boot_label=b"BOOT", root=bytes(32) + entry(b"CIDATA", 8)), "BOOT", id="past the end"
        ),
        pytest.param(fat(sector=2048, root=entry(b"CIDATA", 8)), "CIDATA", id="large sectors"),
        pytest.param(
            replaced(fat(boot_label=b"CIDATA"), {54: b"\0\0\0"}), None, id="a boot loader, no FAT"
        ),
        pytest.param(replaced(fat(boot_label=b"CIDATA"), {510: b"\0\0"}), None, id="no boot"),
        pytest.param(ext(b"config-2"), "config-2", id="ext"),
        pytest.param(ext(b""), None, id="ext without a label"),
        pytest.param(replaced(ext(b"cidata"), {1080: b"\0\0"}), None, id="no ext"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(bytes(SECTOR * 40), None, id="zeroes"),
    ],
)
def test_the_label_is_what_a_guest_would_find(content: bytes, label: str | None) -> None:
    assert label_of(reader(content)) == label


POSITIONS = st.integers(0, 600) | st.integers(16 * SECTOR, 20 * SECTOR) | st.integers(1020, 1160)


@given(
    content=st.sampled_from([ISO, fat(), fat(wide=True), ext(b"cidata"), b""]),
    changes=st.dictionaries(POSITIONS, st.binary(min_size=1, max_size=16), min_size=1, max_size=8),
)
@example(
    content=fat(wide=True),
    changes={14: b"\xff" * 7, 36: b"\xff" * 4, 44: b"\xff" * 4},  # beyond any file
)
@example(content=fat(wide=True), changes={13: b"\xff", 44: b"\1\0\0\0"})  # before its beginning
@example(content=fat(wide=True, sector=4096), changes={13: b"\xff"})  # a cluster of a MiB
@example(content=fat(), changes={17: b"\xff\xff"})  # a root folder of 2 MiB
def test_no_content_makes_it_fail_or_read_much(content: bytes, changes: dict[int, bytes]) -> None:
    image, read = replaced(content, changes), []

    def counted(offset: int, length: int) -> bytes:
        assert 0 <= offset < 1 << 63
        read.append(length)
        return image[offset : offset + length]

    label = label_of(counted)
    assert label is None or 0 < len(label) <= 32
    assert sum(read) < 128 << 10
    assert len(read) < 50


@pytest.mark.parametrize(
    ("label", "seed"),
    [
        (b"cidata", True),
        (b"CIDATA", True),
        (b"config-2", True),
        (b"CONFIG-2", True),
        (b"cidata2", False),
        (b"virtio-win", False),
    ],
)
def test_a_seed_is_known_by_its_label(tmp_path: Path, label: bytes, seed: bool) -> None:
    path = tmp_path / "drive.iso"
    path.write_bytes(replaced(ISO, {16 * SECTOR + 40: label.ljust(32)}))
    assert is_seed(str(path)) is seed


def test_a_seed_is_known_within_a_qcow2_file(tmp_path: Path) -> None:
    path = tmp_path / "drive.qcow2"
    write_qcow2(path, MIB, {0: ISO})
    assert label_at(str(path), VolumeFormat.QCOW2) == "cidata"
    assert is_seed(str(path), VolumeFormat.QCOW2)
    assert not is_seed(str(path))  # declared raw, it is no more than its bytes


def test_a_qcow2_file_that_cannot_be_trusted_is_no_seed(tmp_path: Path) -> None:
    path = tmp_path / "drive.qcow2"
    path.write_bytes(b"QFI\xfb" + bytes(100))
    with pytest.raises(SourceVolumeInvalid):
        label_at(str(path), VolumeFormat.QCOW2)
    assert not is_seed(str(path), VolumeFormat.QCOW2)


def test_what_is_no_image_file_is_no_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it opened: of some devices that is felt."""
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "missing", Path("/dev/zero")):
        assert not is_seed(str(path))
