"""Hosts and guests for the tests of the KVM data plane. What one of them needs and this machine
lacks skips its tests by name."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import ToolMissing
from tests.guest.build import build_data, build_guest, cache_folder, missing_programs
from tests.kvm.libvirt_host import LibvirtHost, libvirt_host
from tests.kvm.place import DATA_MARKER, Place, place
from tests.requirements import require
from tests.xfs import mounted_xfs
from workers.hypervisors.kvm import accelerator


@pytest.fixture(scope="session")
def guest() -> Path:
    """The tiny guest's disk, a qcow2 file that is not to be written to."""
    missing = missing_programs()
    require(not missing, f"what the guest is built with: {' '.join(missing)}")
    try:
        return build_guest(cache_folder())
    except ToolMissing as error:
        require(False, error.details)
        raise


@pytest.fixture(scope="session")
def domain_type() -> str:
    """ "kvm" where a guest boots by it, else "qemu"."""
    return accelerator.domain_type(cache_folder())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LibvirtHost]:
    with libvirt_host(tmp_path / "host-a", "host-a") as made:
        yield made


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
