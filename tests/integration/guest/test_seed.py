"""The seed as the programs see it by which guests find and read such images."""

from pathlib import Path

import pytest

from tests.integration.guest.programs import run
from workers.guest.seed import make_seed

DOCUMENTS = {
    "meta-data": b"instance-id: x\n",
    "network-config": b"version: 2\n" * 300,
    "user-data": b"",
    "vendor-data": b"v",
}


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "seed.iso"
    path.write_bytes(make_seed(DOCUMENTS))
    return path


def test_it_is_found_by_its_label(seed: Path) -> None:
    """cloud-init asks blkid for devices with this type and label."""
    found = run("util-linux", "blkid", "-p", "-o", "export", seed).splitlines()
    assert {"LABEL=cidata", "TYPE=iso9660"} <= set(found)


@pytest.mark.parametrize("tree", ["-R", "-J"], ids=["Rock Ridge", "Joliet"])
def test_its_documents_are_read_back(seed: Path, tree: str) -> None:
    names = run("genisoimage", "isoinfo", "-i", seed, tree, "-f").split()
    assert sorted(names) == [f"/{name}" for name in sorted(DOCUMENTS)]
    for name, content in DOCUMENTS.items():
        read = run("genisoimage", "isoinfo", "-i", seed, tree, "-x", f"/{name}")
        assert read.encode() == content


def test_its_structure_is_sound(seed: Path) -> None:
    assert "No errors found" in run("genisoimage", "isovfy", "-i", seed)
