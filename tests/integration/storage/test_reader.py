"""Our reader reads from any image what QEMU reads, and notices what is cut off."""

import os
import zlib
from pathlib import Path
from typing import BinaryIO

import pytest

from app.domain.errors import SourceVolumeInvalid
from app.domain.plan import BackingFile, VolumeFormat
from tests.integration.storage.conftest import Run
from tests.storage import MIB, Control, Shelf
from workers.storage.reader import Image, open_image

QCOW2, RAW = VolumeFormat.QCOW2, VolumeFormat.RAW
SIZE = 16 * MIB + 512  # ends within a cluster
WRITES = (
    "write -P 1 0 1M",
    "write -P 2 3145000 70000",
    "write -P 8 11M 64k",  # over the end of an overlay that is shorter
    f"write -P 3 {SIZE - 512} 512",
)


def reads_as(image: Image, expected: bytes) -> None:
    """In one piece, in odd pieces, and with zeroes wherever `allocated` says that nothing is."""
    assert image.read(0, image.virtual_size) == expected
    assert image.read(len(expected) - 512, 4096) == expected[-512:].ljust(4096, b"\0")
    step = 999_983
    pieces = [image.read(start, step) for start in range(0, len(expected), step)]
    assert b"".join(pieces)[: len(expected)] == expected
    rest = bytearray(expected)
    for start, end in image.allocated():
        rest[start:end] = bytes(end - start)
    assert not any(rest)


@pytest.mark.parametrize("top_size", [SIZE, SIZE + 5 * MIB, SIZE - 5 * MIB])
@pytest.mark.parametrize("options", ["compat=1.1", "extended_l2=on"])
def test_a_chain_reads_as_qemu_reads_it(
    tmp_path: Path, qemu_img: Run, qemu_io: Run, top_size: int, options: str
) -> None:
    bottom, middle, top = (tmp_path / name for name in ("bottom.raw", "middle.qcow2", "top.qcow2"))
    qemu_img("create", "-q", "-f", "raw", bottom, str(SIZE))
    qemu_io(bottom, "raw", *WRITES)
    qemu_img("create", "-q", "-f", "qcow2", "-b", bottom, "-F", "raw", middle)
    qemu_io(middle, "qcow2", "write -P 4 64k 128k", "write -z 5M 64k", "write -P 5 9M 1k")
    below = ("-b", middle, "-F", "qcow2")
    qemu_img("create", "-q", "-f", "qcow2", "-o", options, *below, top, str(top_size))
    qemu_io(top, "qcow2", "write -P 6 70k 3k", "write -z 128k 2k", "write -P 7 7M 1M")
    qemu_img("convert", "-f", "qcow2", "-O", "raw", top, tmp_path / "plain")
    chain = (BackingFile(str(middle), QCOW2), BackingFile(str(bottom), RAW))
    with open_image(str(top), QCOW2, chain) as image:
        reads_as(image, (tmp_path / "plain").read_bytes())


@pytest.fixture(params=["4k", "64k", "2M"])
def compressed(request: pytest.FixtureRequest, tmp_path: Path, qemu_img: Run) -> Path:
    """Of that cluster size; its clusters become smaller and stay unlike each other."""
    plain, path = tmp_path / "plain.raw", tmp_path / "compressed.qcow2"
    plain.write_bytes(b"".join(os.urandom(1024) + bytes(3072) for _ in range(8 * MIB // 4096)))
    options = f"cluster_size={request.param}"
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, plain, path)
    return path


def test_a_compressed_image_that_was_written_to_reads_as_qemu_reads_it(
    compressed: Path, tmp_path: Path, qemu_img: Run, qemu_io: Run
) -> None:
    qemu_io(compressed, "qcow2", "write -P 7 1M 4k", "discard 4M 2M")
    qemu_img("convert", "-f", "qcow2", "-O", "raw", compressed, tmp_path / "again.raw")
    with open_image(str(compressed), QCOW2) as image:
        reads_as(image, (tmp_path / "again.raw").read_bytes())


@pytest.mark.parametrize("percent", [50, 90, 99])
def test_a_compressed_image_that_is_cut_off_makes_no_base(
    shelf: Shelf, compressed: Path, percent: int
) -> None:
    with open_image(str(compressed), QCOW2) as image:
        image.check_extent()
    os.truncate(compressed, compressed.stat().st_size * percent // 100)
    source = shelf.source(compressed, QCOW2)
    with pytest.raises(SourceVolumeInvalid, match=r"compressed\.qcow2 .*truncated"):
        shelf.driver.make_base(source, shelf.base(source), Control())
    assert shelf.files() == set()


def word(image: BinaryIO, offset: int) -> int:
    image.seek(offset)
    return int.from_bytes(image.read(8), "big")


@pytest.mark.parametrize("compressed", ["64k"], indirect=True)
@pytest.mark.parametrize("damage", [b"\xff" * 40, zlib.compress(b"too short")[2:-4]])
def test_a_damaged_compressed_cluster_is_an_error_and_no_endless_read(
    compressed: Path, damage: bytes
) -> None:
    with compressed.open("r+b") as file:
        l2_table = word(file, word(file, 40)) & 0x00FFFFFFFFFFFE00
        file.seek(word(file, l2_table) & ((1 << 54) - 1))
        file.write(damage)
    with (
        open_image(str(compressed), QCOW2) as image,
        pytest.raises(SourceVolumeInvalid, match=r"compressed\.qcow2 is damaged"),
    ):
        image.read(0, 4096)
