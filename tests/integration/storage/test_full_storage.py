"""A storage that fills up while qemu-img writes is full, whatever qemu-img calls it."""

import os
from pathlib import Path

import pytest

from app.domain.errors import PrimaryStorageFull
from app.domain.plan import CloneMethod, VolumeFormat
from tests.integration.storage.conftest import Mount, Run
from tests.storage import MIB, Control, Shelf


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.raw"
    path.write_bytes(os.urandom(32 * MIB))
    return path


@pytest.fixture
def small(mounted: Mount) -> Shelf:
    return Shelf(mounted("tmpfs", 16 * MIB) / "ps-small")


def test_a_chain_that_does_not_fit_gives_the_space_back(
    small: Shelf, tmp_path: Path, noise: Path, qemu_img: Run
) -> None:
    top = tmp_path / "top.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", "-b", noise, "-F", "raw", top)
    source = small.source(top, VolumeFormat.QCOW2, [(noise, VolumeFormat.RAW)])
    with pytest.raises(PrimaryStorageFull, match="No space left"):
        small.driver.make_base(source, small.base(source), Control())
    assert small.files() == set()
    assert small.driver.facts().free_bytes > 15 * MIB


def test_a_linked_clone_fits_where_a_copy_does_not(shelf: Shelf, small: Shelf, noise: Path) -> None:
    base = shelf.made_base(shelf.source(noise, VolumeFormat.RAW))
    full, linked = (small.plan(base, method) for method in (CloneMethod.FULL, CloneMethod.LINKED))
    with pytest.raises(PrimaryStorageFull):
        small.driver.clone(full, Control())
    assert small.driver.clone(linked, Control()).actual_size < MIB
    assert small.files() == {small.inside(linked.path)}
