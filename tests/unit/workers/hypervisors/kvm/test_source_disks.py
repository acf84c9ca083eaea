"""A volume of the inventory is the disk of the domain that has its file, read alike."""

from pathlib import Path

import pytest

from app.domain.errors import SourceNotCloneable
from app.domain.plan import SourceVolume, StorageRef, StorageType, VolumeFormat
from tests.unit.workers.hypervisors.kvm.sources import domain
from workers.guest.seed import make_seed
from workers.hypervisors.kvm.source_disks import seed_of, targets_of
from workers.hypervisors.kvm.source_domain import SourceDisk
from workers.hypervisors.kvm.source_xml import read_source

STORAGE = StorageRef("5" * 32, StorageType.LOCAL, "/images")


def disk(target: str, path: str, *, format_: str | None = "raw", device: str = "disk") -> str:
    driver = f"<driver name='qemu' type='{format_}'/>" if format_ else ""
    return (
        f"<disk type='file' device='{device}'>{driver}<source file='{path}'/>"
        f"<target dev='{target}' bus='virtio'/></disk>"
    )


def read(*disks: str) -> tuple[tuple[SourceDisk, ...], dict[str, str]]:
    """Its disks and their files."""
    found = read_source(domain(devices="".join(disks)), None).disks
    return found, {d.target: d.path for d in found if d.path}


def volume(path: str, format_: VolumeFormat = VolumeFormat.RAW) -> SourceVolume:
    return SourceVolume("6" * 32, STORAGE, path, format_)


def test_a_volume_is_found_by_its_file_whatever_leads_there(tmp_path: Path) -> None:
    (tmp_path / "real.raw").touch()
    (tmp_path / "link.raw").symlink_to("real.raw")
    disks, paths = read(disk("vdx", str(tmp_path / "real.raw")))
    assert targets_of([volume(str(tmp_path / "link.raw"))], disks, paths) == {"6" * 32: "vdx"}


@pytest.mark.parametrize(
    "device",
    [disk("vdx", "/other.raw"), disk("vdx", "/d.raw", device="cdrom"), ""],
    ids=["another file", "a drive", "none"],
)
def test_a_volume_that_is_no_disk_is_refused_with_those_there_are(device: str) -> None:
    disks, paths = read(device)
    with pytest.raises(SourceNotCloneable, match=r"path:/d.raw\] is no disk.*/images/golden.qcow2"):
        targets_of([volume("/d.raw")], disks, paths)


@pytest.mark.parametrize(
    ("declared", "domains", "said"),
    [
        (VolumeFormat.QCOW2, "raw", "raw"),
        (VolumeFormat.RAW, "qcow2", "qcow2"),
        (VolumeFormat.QCOW2, None, "raw"),  # libvirt's default
        (VolumeFormat.RAW, "vmdk", "vmdk"),
    ],
)
def test_a_volume_that_is_read_in_another_format_is_refused(
    declared: VolumeFormat, domains: str | None, said: str
) -> None:
    disks, paths = read(disk("vdx", "/d", format_=domains))
    with pytest.raises(SourceNotCloneable, match=rf"is {declared} in the.*vdx as {said}"):
        targets_of([volume("/d", declared)], disks, paths)


def test_the_seed_is_the_first_image_with_its_label_that_is_no_volume(tmp_path: Path) -> None:
    seed = tmp_path / "seed.iso"
    seed.write_bytes(make_seed({"meta-data": b"instance-id: gold"}))
    (tmp_path / "other.iso").write_bytes(bytes(1 << 16))
    disks, paths = read(
        disk("vdb", str(seed)),
        disk("sda", str(tmp_path / "other.iso"), device="cdrom"),
        disk("sdb", str(tmp_path / "gone.iso"), device="cdrom"),
        disk("sdc", str(seed), device="cdrom"),
    )
    assert seed_of(disks, paths, frozenset()) == "vdb"
    assert seed_of(disks, paths, frozenset({"vdb"})) == "sdc"
    assert seed_of(disks, paths, frozenset({"vdb", "sdc"})) is None


@pytest.mark.parametrize(("format_", "found"), [("raw", "vdb"), ("qcow2", None), ("vmdk", None)])
def test_a_seed_is_read_as_its_domain_reads_it(
    tmp_path: Path, format_: str, found: str | None
) -> None:
    seed = tmp_path / "seed"
    seed.write_bytes(make_seed({"meta-data": b"instance-id: gold"}))
    disks, paths = read(disk("vdb", str(seed), format_=format_))
    assert seed_of(disks, paths, frozenset()) == found
