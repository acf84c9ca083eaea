"""Copies keep data as data and holes as holes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requirements import require
from tests.storage import MIB, Control
from workers.storage.copy import allocated, copy_sparse, data_ranges, reflink
from workers.storage.pace import CHUNK

SHM = Path("/dev/shm")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "source", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """On another file system, where copy_file_range may say EXDEV."""
    require(SHM.is_dir(), "/dev/shm, a second file system")
    descriptor = os.open(SHM, os.O_TMPFILE | os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


PIECES = {
    "empty": (0, ()),
    "one hole": (5 * MIB, ()),
    "data alone": (3 * MIB, ((0, 3 * MIB),)),
    "hole at the end": (9 * MIB, ((0, 10),)),
    "hole at the beginning": (9 * MIB + 7, ((8 * MIB, MIB + 7),)),
    "more than a chunk": (CHUNK * 2 + 4097, ((0, CHUNK + 1), (CHUNK * 2, 4097))),
}


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("where", ["target", "elsewhere"])
def test_a_copy_is_equal_and_as_sparse(
    request: pytest.FixtureRequest,
    source: int,
    where: str,
    pieces: tuple[int, tuple[tuple[int, int], ...]],
) -> None:
    target: int = request.getfixturevalue(where)
    size, data = pieces
    os.ftruncate(source, size)
    for start, length in data:
        os.pwrite(source, os.urandom(length), start)
    os.fsync(source)
    control = Control()
    copy_sparse(source, target, control)
    os.fsync(target)
    assert content(target) == content(source)
    assert allocated(target) <= allocated(source) + 4096
    assert list(data_ranges(target, size)) == list(data_ranges(source, size))
    assert control.reported == sorted(control.reported)
    assert control.checkpoints >= len(control.reported)


def test_a_source_that_became_shorter_is_an_error(source: int, target: int) -> None:
    os.pwrite(source, bytes(range(256)) * 8192, 0)

    def shorten() -> None:
        os.ftruncate(source, 4096)

    with pytest.raises(OSError, match="became shorter"):
        copy_sparse(source, target, Control(meanwhile=shorten))


def test_a_pair_on_two_file_systems_is_no_reflink(source: int, elsewhere: int) -> None:
    os.pwrite(source, b"x" * 4096, 0)
    assert reflink(source, elsewhere) is False
    assert os.fstat(elsewhere).st_size == 0
