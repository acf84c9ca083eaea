"""Reflinks of qcow2 bases that grow, or that lie on another file system."""

import os
from pathlib import Path

from app.domain.plan import CloneMethod, SourceVolume, VolumeFormat
from tests.integration.storage.conftest import Run
from tests.storage import MIB, Control, Shelf

QCOW2 = VolumeFormat.QCOW2
CONTENT = 32 * MIB


def golden(shelf: Shelf, folder: Path, qemu_img: Run) -> SourceVolume:
    noise, path = folder / "noise", folder / "golden.qcow2"
    noise.write_bytes(os.urandom(CONTENT))
    qemu_img("convert", "-f", "raw", "-O", "qcow2", noise, path)
    return shelf.source(path, QCOW2)


def test_a_qcow2_reflink_may_be_larger_than_its_base(
    xfs: Shelf, tmp_path: Path, qemu_img: Run
) -> None:
    source = golden(xfs, tmp_path, qemu_img)
    plan = xfs.plan(xfs.made_base(source), CloneMethod.REFLINK, size=4 * CONTENT)
    os.sync()
    before = xfs.driver.facts().free_bytes
    facts = xfs.driver.clone(plan, Control())
    os.sync()
    assert facts.method is CloneMethod.REFLINK
    assert before - xfs.driver.facts().free_bytes < CONTENT / 10
    qemu_img("check", "-q", "-f", "qcow2", plan.path)
    with Path(plan.path).open("rb") as file:
        file.seek(24)
        assert int.from_bytes(file.read(8), "big") == 4 * CONTENT
    assert "identical" in qemu_img("compare", "-f", "qcow2", "-F", "qcow2", plan.path, source.path)


def test_a_chosen_reflink_of_a_base_on_another_file_system_becomes_a_linked_clone(
    shelf: Shelf, xfs: Shelf, tmp_path: Path, qemu_img: Run
) -> None:
    source = golden(shelf, tmp_path, qemu_img)
    plan = xfs.plan(shelf.made_base(source), CloneMethod.REFLINK, fallback=True)
    assert xfs.driver.clone(plan, Control()).method is CloneMethod.LINKED
    assert "identical" in qemu_img("compare", "-f", "qcow2", "-F", "qcow2", plan.path, source.path)
