"""What depends on the file system: shared extents, and no room."""

import os
from pathlib import Path

import pytest

from app.domain.errors import PrimaryStorageFull
from app.domain.plan import CloneMethod, SourceVolume, VolumeFormat
from tests.integration.storage.conftest import Mount
from tests.storage import MIB, Control, Shelf, read_volume
from workers.ops.demo.images import write_qcow2, write_raw

FULL, REFLINK = CloneMethod.FULL, CloneMethod.REFLINK


@pytest.fixture(params=list(VolumeFormat))
def source(request: pytest.FixtureRequest, xfs: Shelf) -> SourceVolume:
    """A source of 32 MiB, all of it data, on the storage itself."""
    file_format: VolumeFormat = request.param
    path = xfs.folder / f"golden.{file_format}"
    write = write_raw if file_format is VolumeFormat.RAW else write_qcow2
    write(path, 32 * MIB, {0: os.urandom(32 * MIB)})
    return xfs.source(path, file_format)


def used(shelf: Shelf) -> int:
    numbers = os.statvfs(shelf.folder)
    return (numbers.f_blocks - numbers.f_bfree) * numbers.f_frsize


def test_xfs_is_known_to_share_extents(xfs: Shelf) -> None:
    assert xfs.driver.facts().reflink is True


def test_tmpfs_is_known_not_to(mounted: Mount) -> None:
    shelf = Shelf(mounted("tmpfs", MIB) / "ps-1")
    assert shelf.driver.facts().reflink is False
    assert shelf.files() == set()


def test_reflinks_take_no_room_and_are_their_own_files(xfs: Shelf, source: SourceVolume) -> None:
    os.sync()
    before = used(xfs)
    base = xfs.made_base(source)
    plans = [xfs.plan(base, REFLINK) for _ in range(4)]
    for plan in plans:
        facts = xfs.driver.clone(plan, Control())
        assert facts.method is REFLINK
        assert facts.format is source.format
    assert used(xfs) - before < 4 * MIB
    with Path(plans[0].path).open("r+b") as file:
        file.write(b"of its own")
    content = Path(source.path).read_bytes()
    assert Path(plans[1].path).read_bytes() == Path(base.path).read_bytes() == content
    assert Path(plans[0].path).read_bytes() == b"of its own" + content[10:]


def test_a_raw_reflink_may_be_larger_than_its_base(xfs: Shelf) -> None:
    path = xfs.folder / "golden.raw"
    write_raw(path, MIB, {0: b"x" * MIB})
    plan = xfs.plan(xfs.made_base(xfs.source(path, VolumeFormat.RAW)), REFLINK, size=9 * MIB)
    xfs.driver.clone(plan, Control())
    assert read_volume(plan) == (b"x" * MIB).ljust(9 * MIB, b"\0")


def test_a_base_that_does_not_fit_fails_for_good_and_leaves_nothing(
    mounted: Mount, tmp_path: Path
) -> None:
    path = tmp_path / "golden.raw"
    path.write_bytes(os.urandom(8 * MIB))
    small = Shelf(mounted("tmpfs", 4 * MIB) / "ps-1")
    source = small.source(path, VolumeFormat.RAW)
    with pytest.raises(PrimaryStorageFull, match="free some space") as raised:
        small.driver.make_base(source, small.base(source), Control())
    assert raised.value.retryable is False
    assert small.files() == set()


def test_a_clone_that_does_not_fit_leaves_the_base_alone(mounted: Mount, tmp_path: Path) -> None:
    path = tmp_path / "golden.raw"
    path.write_bytes(os.urandom(8 * MIB))
    small = Shelf(mounted("ext4", 24 * MIB) / "ps-1")
    base = small.made_base(small.source(path, VolumeFormat.RAW))
    first = small.plan(base, FULL)
    small.driver.clone(first, Control())
    with pytest.raises(PrimaryStorageFull):
        small.driver.clone(small.plan(base, FULL), Control())
    assert small.files() == {small.inside(base.path), small.inside(first.path)}
    assert read_volume(first) == path.read_bytes()


def test_a_base_on_another_file_system_is_copied_fully(
    xfs: Shelf, tmp_path: Path, source: SourceVolume
) -> None:
    other = Shelf(tmp_path / "ps-2")
    plan = other.plan(xfs.made_base(source), FULL)
    facts = other.driver.clone(plan, Control())
    assert facts.method is FULL
    assert Path(plan.path).read_bytes() == Path(source.path).read_bytes()
