"""One host that serves for all tests of this folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.build import build_data
from tests.kvm.shared.place import DATA_MARKER, Place, place
from tests.xfs import mounted_xfs


@pytest.fixture(scope="package")
def here(tmp_path_factory: pytest.TempPathFactory, guest: Path) -> Iterator[Place]:
    """For every test that leaves it as it was: starting one takes longer than most of them. It has
    a storage with reflinks and one without, and a VM `golden` that libvirt does not know."""
    folder = tmp_path_factory.mktemp("kvm")
    with mounted_xfs(folder / "ps"), place(folder, ("ps", "ps-2")) as made:
        (made.folder / "images").mkdir()
        root = made.folder / "images" / "golden.qcow2"
        shutil.copyfile(guest, root)
        made.declare_vm("golden", root, build_data(root.parent, DATA_MARKER))
        yield made
