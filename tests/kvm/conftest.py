"""Hosts and guests for the tests of the KVM data plane. What one of them needs and this machine
lacks skips its tests by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import ToolMissing
from tests.guest.build import build_guest, cache_folder, missing_programs
from tests.kvm.libvirt_host import LibvirtHost, libvirt_host
from tests.requirements import require
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
