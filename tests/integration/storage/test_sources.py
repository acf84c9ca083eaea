"""Sources as QEMU writes them: of every kind that can be cloned, and of those that must not."""

import json
import os
import select
import subprocess
from pathlib import Path

import pytest

from app.domain.errors import (
    OperationCanceled,
    SourceVolumeBusy,
    SourceVolumeInvalid,
    ToolMissing,
)
from app.domain.plan import BackingFile, CloneMethod, SourceVolume, VolumeFormat
from tests.integration.storage.conftest import Run
from tests.storage import MIB, Control, Shelf, base_of, same_content
from workers.storage.reader import open_image

QCOW2, RAW = VolumeFormat.QCOW2, VolumeFormat.RAW
# Each leaves something else in the file: plain data, zeroes written, data over the end of an
# L2 table's range.
WRITES = ("write -P 1 0 64k", "write -P 2 100k 3", "write -z 1M 1M", "write -P 3 511M 2M")


@pytest.mark.parametrize(
    "options",
    [
        "compat=0.10",
        "compat=1.1",
        "cluster_size=512",
        "cluster_size=2M",
        "extended_l2=on",
        "lazy_refcounts=on",
        "refcount_bits=1",
        "preallocation=metadata",
        "compression_type=zstd",  # and nothing compressed yet
    ],
)
@pytest.mark.parametrize("method", [CloneMethod.LINKED, CloneMethod.FULL])
def test_a_clone_of_any_qcow2_is_clean_and_equal(
    tmp_path: Path, shelf: Shelf, qemu_img: Run, qemu_io: Run, options: str, method: CloneMethod
) -> None:
    path = tmp_path / "golden.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-o", options, path, "600M")
    qemu_io(path, "qcow2", *WRITES)
    source = shelf.source(path, QCOW2)
    plan = shelf.plan(shelf.made_base(source), method)
    shelf.driver.clone(plan, Control())
    qemu_img("check", "-q", "-f", "qcow2", plan.path)
    assert "identical" in qemu_img("compare", "-f", "qcow2", "-F", "qcow2", plan.path, path)
    assert_same_to_our_reader(
        source, plan.path, plan.format, linked_to=base_of(plan).path, by=method
    )


def assert_same_to_our_reader(
    source: SourceVolume,
    path: str,
    file_format: VolumeFormat,
    *,
    linked_to: str,
    by: CloneMethod,
) -> None:
    below = (BackingFile(linked_to, QCOW2),) if by is CloneMethod.LINKED else ()
    with (
        open_image(source.path, source.format, source.backing) as ours,
        open_image(path, file_format, below) as theirs,
    ):
        assert same_content(ours, theirs)


def test_our_reader_reads_what_qemu_reads(tmp_path: Path, qemu_img: Run, qemu_io: Run) -> None:
    path, raw = tmp_path / "a.qcow2", tmp_path / "a.raw"
    for options in ("compat=0.10", "cluster_size=512", "extended_l2=on", "cluster_size=2M"):
        qemu_img("create", "-q", "-f", "qcow2", "-o", options, path, "600M")
        qemu_io(path, "qcow2", *WRITES, "write -P 5 70k 1k")
        qemu_img("convert", "-f", "qcow2", "-O", "raw", path, raw)
        with open_image(str(path), QCOW2) as image, open_image(str(raw), RAW) as plain:
            assert same_content(image, plain)
        qemu_io(raw, "raw", f"write -P 6 {64 << 10} 1")
        with open_image(str(path), QCOW2) as image, open_image(str(raw), RAW) as plain:
            assert not same_content(image, plain)


def test_compressed_images_are_read_and_cloned(tmp_path: Path, shelf: Shelf, qemu_img: Run) -> None:
    raw, path = tmp_path / "a.raw", tmp_path / "golden.qcow2"
    raw.write_bytes((b"compresses well " * 4096 + os.urandom(1 << 16)) * 20)
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", raw, path)
    source = shelf.source(path, QCOW2)
    base = shelf.made_base(source)
    with open_image(base.path, QCOW2) as image:
        assert image.read(0, image.virtual_size) == raw.read_bytes()


def test_zstd_is_cloned_but_not_read(tmp_path: Path, shelf: Shelf, qemu_img: Run) -> None:
    raw, path = tmp_path / "a.raw", tmp_path / "golden.qcow2"
    raw.write_bytes(b"compresses well " * (1 << 16))
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", raw, path)
    base = shelf.made_base(shelf.source(path, QCOW2))
    assert "identical" in qemu_img("compare", "-f", "raw", "-F", "qcow2", raw, base.path)
    with (
        open_image(base.path, QCOW2) as image,
        pytest.raises(SourceVolumeInvalid, match="zstd, which only QEMU reads"),
    ):
        image.read(0, 1)


@pytest.fixture
def chain(tmp_path: Path, shelf: Shelf, qemu_img: Run, qemu_io: Run) -> SourceVolume:
    """qcow2 on qcow2 on raw, each with something of its own."""
    bottom, middle, top = tmp_path / "a,b.raw", tmp_path / "middle.qcow2", tmp_path / "top.qcow2"
    bottom.write_bytes(b"\1" * MIB)
    qemu_img("create", "-q", "-f", "qcow2", "-b", bottom, "-F", "raw", middle, "300M")
    qemu_io(middle, "qcow2", "write -P 2 64k 64k", "write -P 3 200M 64k")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", top)
    qemu_io(top, "qcow2", "write -P 4 128k 64k", "write -z 64k 64k")
    return shelf.source(top, QCOW2, [(middle, QCOW2), (bottom, RAW)])


def test_a_chain_becomes_one_file(chain: SourceVolume, shelf: Shelf, qemu_img: Run) -> None:
    control = Control()
    base = shelf.base(chain)
    facts = shelf.driver.make_base(chain, base, control)
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", base.path))
    assert "backing-filename" not in info
    assert facts.virtual_size == info["virtual-size"] == 300 * MIB
    assert len(facts.signature) == 3
    assert "identical" in qemu_img("compare", "-f", "qcow2", "-F", "qcow2", base.path, chain.path)
    assert facts.actual_size < 4 * MIB
    assert control.reported[-1] == 300 * MIB
    assert shelf.files() == {shelf.inside(base.path)}
    with (
        open_image(chain.path, chain.format, chain.backing) as ours,
        open_image(base.path, QCOW2) as theirs,
    ):
        assert same_content(ours, theirs)


def test_flattening_leaves_the_chain_as_it_was(chain: SourceVolume, shelf: Shelf) -> None:
    files = [chain.path, *(file.path for file in chain.backing)]
    before = [(Path(file).read_bytes(), os.stat(file).st_mtime_ns) for file in files]
    shelf.made_base(chain)
    assert [(Path(file).read_bytes(), os.stat(file).st_mtime_ns) for file in files] == before


def test_flattening_that_is_cancelled_leaves_neither_file_nor_child(
    chain: SourceVolume, shelf: Shelf
) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    control = Control(raises=OperationCanceled(), at_checkpoint=2)
    with pytest.raises(OperationCanceled):
        shelf.driver.make_base(chain, shelf.base(chain), control)
    assert shelf.files() == set()
    assert children.read_text() == before


def test_without_qemu_img_its_package_is_named(
    chain: SourceVolume, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="install qemu-utils"):
        shelf.driver.make_base(chain, shelf.base(chain), Control())
    assert shelf.files() == set()


def test_a_chain_of_which_less_is_declared_is_refused(chain: SourceVolume, shelf: Shelf) -> None:
    middle = chain.backing[0]
    for source in (
        shelf.source(Path(chain.path), QCOW2),
        shelf.source(Path(chain.path), QCOW2, [(Path(middle.path), QCOW2)]),
    ):
        with pytest.raises(SourceVolumeInvalid, match="declare the whole chain"):
            shelf.driver.signature(source)


@pytest.mark.parametrize("extra", ["snapshot", "bitmap"])
def test_internal_snapshots_and_bitmaps_do_not_go_into_the_base(
    tmp_path: Path, shelf: Shelf, qemu_img: Run, qemu_io: Run, extra: str
) -> None:
    path = tmp_path / "golden.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "100M")
    qemu_io(path, "qcow2", "write -P 1 0 1M")
    if extra == "snapshot":
        qemu_img("snapshot", "-c", "before", path)
    else:
        qemu_img("bitmap", "--add", "-f", "qcow2", path, "backup")
    qemu_io(path, "qcow2", "write -P 2 0 64k")
    base = shelf.made_base(shelf.source(path, QCOW2))
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", base.path))
    assert "snapshots" not in info
    assert "bitmaps" not in info["format-specific"]["data"]
    assert "identical" in qemu_img("compare", "-f", "qcow2", "-F", "qcow2", base.path, path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("data_file={folder}/elsewhere.raw", "its data lies in another file"),
        ('backing_file=json:{{"driver":"null-co"}},backing_fmt=raw', "by a protocol"),
    ],
    ids=["data file", "json backing"],
)
def test_what_nobody_declared_is_refused(
    tmp_path: Path, shelf: Shelf, qemu_img: Run, options: str, said: str
) -> None:
    path = tmp_path / "golden.qcow2"
    options = options.format(folder=tmp_path)
    qemu_img("create", "-q", "-u", "-f", "qcow2", "-o", options, path, "10M")
    with pytest.raises(SourceVolumeInvalid, match=said):
        shelf.driver.signature(shelf.source(path, QCOW2))


def test_raw_is_not_taken_for_qcow2(tmp_path: Path, shelf: Shelf) -> None:
    path = tmp_path / "golden.raw"
    path.write_bytes(bytes(MIB))
    with pytest.raises(SourceVolumeInvalid, match="is its format raw"):
        shelf.driver.signature(shelf.source(path, QCOW2))


@pytest.mark.parametrize("method", [CloneMethod.LINKED, CloneMethod.FULL])
def test_a_raw_size_between_sectors_is_rounded_as_qemu_rounds(
    tmp_path: Path, shelf: Shelf, qemu_img: Run, method: CloneMethod
) -> None:
    path = tmp_path / "golden.raw"
    path.write_bytes(b"x" * (MIB + 100))
    plan = shelf.plan(shelf.made_base(shelf.source(path, RAW)), method)
    shelf.driver.clone(plan, Control())
    compared = qemu_img("compare", "-s", "-f", plan.format, "-F", "raw", plan.path, path)
    assert "identical" in compared


def test_a_full_qcow2_clone_may_be_larger_than_its_base(
    tmp_path: Path, shelf: Shelf, qemu_img: Run, qemu_io: Run
) -> None:
    path = tmp_path / "golden.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "100M")
    qemu_io(path, "qcow2", "write -P 1 0 1M")
    plan = shelf.plan(shelf.made_base(shelf.source(path, QCOW2)), CloneMethod.FULL, size=2 << 30)
    shelf.driver.clone(plan, Control())
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", plan.path))
    assert info["virtual-size"] == 2 << 30
    assert "identical" in qemu_img("compare", "-f", "qcow2", "-F", "qcow2", plan.path, path)


@pytest.mark.parametrize("file_format", list(VolumeFormat))
def test_a_source_that_qemu_has_open_for_writing_is_busy(
    tmp_path: Path, shelf: Shelf, qemu_img: Run, qemu_io: Run, file_format: VolumeFormat
) -> None:
    path = tmp_path / f"golden.{file_format}"
    qemu_img("create", "-q", "-f", file_format, path, "10M")
    source = shelf.source(path, file_format)
    with OpenInQemu(path, file_format):
        with pytest.raises(SourceVolumeBusy, match="open for writing"):
            shelf.driver.signature(source)
        with pytest.raises(SourceVolumeBusy, match="open for writing"):
            shelf.driver.make_base(source, shelf.base(source), Control())
    assert shelf.files() == set()
    shelf.made_base(source)


def test_a_source_that_qemu_reads_is_not_busy(
    tmp_path: Path, shelf: Shelf, qemu_img: Run, qemu_io: Run
) -> None:
    path = tmp_path / "golden.raw"
    qemu_img("create", "-q", "-f", "raw", path, "10M")
    with OpenInQemu(path, RAW, "-r"):
        shelf.made_base(shelf.source(path, RAW))


def test_a_chain_whose_lowest_file_is_open_for_writing_is_busy(
    chain: SourceVolume, shelf: Shelf
) -> None:
    lowest = chain.backing[-1]
    with (
        OpenInQemu(Path(lowest.path), lowest.format),
        pytest.raises(SourceVolumeBusy, match=r"a,b\.raw is open"),
    ):
        shelf.driver.signature(chain)


class OpenInQemu:
    """A qemu-io process that has the image open for as long as the block runs."""

    def __init__(self, path: Path, file_format: VolumeFormat, *options: str) -> None:
        self._command = ["qemu-io", *options, "-f", file_format, str(path)]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        # Its prompt comes once the image is open.
        ready, _, _ = select.select([self._process.stdout], [], [], 30)
        assert ready, "qemu-io did not open the image"
        assert os.read(self._process.stdout.fileno(), 8).startswith(b"qemu-io>")

    def __exit__(self, *_: object) -> None:
        self._process.communicate(b"quit\n", timeout=30)
