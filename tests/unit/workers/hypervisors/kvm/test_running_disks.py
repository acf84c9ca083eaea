"""A running domain's disks are held against what the inventory declares."""

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from app.domain.errors import SourceNotCloneable
from app.domain.plan import BackingFile, SourceVolume, StorageRef, StorageType, VolumeFormat

pytest.importorskip("libvirt")
from workers.hypervisors.kvm.running_disks import running_disk

STORAGE = StorageRef("b" * 32, StorageType.LOCAL, "/ps")


class Domain:
    def blockInfo(self, _target: str, _flags: int) -> list[int]:  # noqa: N802 - libvirt's name
        return [1 << 20, 0, 0]


def looked_up(top: Path, form: str, base: Path | None = None) -> Any:
    below = (
        f"<backingStore type='file'><format type='qcow2'/><source file='{base}'/><backingStore/>"
        "</backingStore>"
        if base
        else "<backingStore/>"
    )
    live = etree.fromstring(
        f"<domain><devices><disk type='file' device='disk'><driver type='{form}'/>"
        f"<source file='{top}'/>{below}<target dev='vda' bus='virtio'/></disk></devices></domain>"
    )
    backing = (BackingFile(str(base), VolumeFormat.QCOW2),) if base else ()
    volume = SourceVolume(
        uuid="a" * 32,
        storage=STORAGE,
        path=str(top),
        format=VolumeFormat.QCOW2,
        backing=backing,
    )
    return running_disk(Domain(), live, volume)


def test_it_is_found_with_what_its_chain_takes(tmp_path: Path) -> None:
    top, base = tmp_path / "top", tmp_path / "base"
    top.write_bytes(bytes(range(256)) * 64)
    base.write_bytes(bytes(range(256)) * 64)
    disk = looked_up(top, "qcow2", base)
    assert [file.path for file in disk.chain] == [str(top), str(base)]
    assert disk.allocated == sum(path.stat().st_blocks * 512 for path in (top, base))


def test_a_chain_that_lost_its_base_is_named(tmp_path: Path) -> None:
    (tmp_path / "top").touch()
    with pytest.raises(SourceNotCloneable) as raised:
        looked_up(tmp_path / "top", "qcow2", tmp_path / "gone")
    assert f"disk vda stands on {tmp_path}/gone" in raised.value.details
    assert "Put the file back" in raised.value.details


def test_a_format_that_nothing_here_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "top").touch()
    with pytest.raises(SourceNotCloneable) as raised:
        looked_up(tmp_path / "top", "vmdk")
    assert f"disk vda stands on {tmp_path}/top (vmdk)" in raised.value.details
    assert "convert it" in raised.value.details
