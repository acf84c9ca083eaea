"""One source that runs, and what serves its host, for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kvm.libvirt_host import libvirt_host
from tests.kvm.running.engine import KvmWorld, kvm_world
from tests.kvm.running.source import running_source


@pytest.fixture
def world(any_world: KvmWorld) -> KvmWorld:
    """Its source runs."""
    if not any_world.source.runs():
        any_world.source.start()
    return any_world


@pytest.fixture(scope="package")
def any_world(
    tmp_path_factory: pytest.TempPathFactory, guest: Path, domain_type: str
) -> Iterator[KvmWorld]:
    folder = tmp_path_factory.mktemp("running")
    with (
        libvirt_host(folder / "host", "host-r") as host,
        running_source(host, folder, guest, domain_type) as source,
        kvm_world(source, folder) as made,
    ):
        yield made
