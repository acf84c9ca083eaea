"""A clone's volumes, seed and images are in the places that the plan means."""

from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import SourceNotCloneable
from app.domain.plan import BackingFile, VolumeFormat
from tests.unit.workers.hypervisors.kvm.sources import DATA, LINKED, ROOT, clone_of, domain, found
from workers.hypervisors.kvm.clone_parts import SeedPart

CDROMS = "".join(
    f"<disk type='file' device='cdrom'><target dev='{name}' bus='sata'/></disk>"
    for name in ("sda", "sdb")
)
SEED = SeedPart("/seed")


def on_scsi(inner: str = "", devices: str = "") -> str:
    """A domain whose root disk is no virtio disk."""
    return domain(inner, devices).replace("'vda' bus='virtio'", "'vda' bus='scsi'")


def media(xml: str, **parts: Any) -> dict[str, str]:
    """What lies in which drive or disk beside the root volume; "" in an empty one."""
    clone = clone_of(xml, **parts)
    return {
        f"{found(disk, 'target/@bus')[0]} {found(disk, 'target/@dev')[0]}": "".join(
            found(disk, "source/@file")
        )
        for disk in clone.findall("devices/disk")[1:]
    }


@pytest.mark.parametrize(
    ("replaces", "cdroms", "expected"),
    [
        (None, (), {"sata sda": "/seed", "sata sdb": ""}),
        (None, ("/a",), {"sata sda": "/a", "sata sdb": "/seed"}),
        (None, (None, "/b"), {"sata sda": "/seed", "sata sdb": "/b"}),
        (None, ("/a", "/b"), {"sata sda": "/a", "sata sdb": "/b", "sata sdc": "/seed"}),
        (None, ("/a", "/b", None), {"sata sda": "/a", "sata sdb": "/b", "sata sdc": "/seed"}),
        ("sdb", ("/a",), {"sata sda": "/a", "sata sdb": "/seed"}),
        ("sda", ("/a",), {"sata sda": "/seed", "sata sdb": "/a"}),
        ("sda", ("/a", "/b"), {"sata sda": "/seed", "sata sdb": "/a", "sata sdc": "/b"}),
    ],
)
def test_the_seed_and_the_images_find_their_drives(
    replaces: str | None, cdroms: tuple[str | None, ...], expected: dict[str, str]
) -> None:
    seed = SeedPart("/seed", replaces)
    assert media(on_scsi(devices=CDROMS), seed=seed, cdroms=cdroms) == expected


def test_beside_a_virtio_root_the_seed_is_a_virtio_disk() -> None:
    xml = domain(devices=CDROMS)
    assert media(xml, seed=SEED, cdroms=("/a",)) == {
        "sata sda": "/a",
        "sata sdb": "",
        "virtio vdb": "/seed",
    }
    seed = clone_of(xml, seed=SEED).findall("devices/disk")[-1]
    assert found(seed, "@device") == ["disk"]
    assert found(seed, "driver/@type") == ["raw"]
    assert len(found(seed, "readonly")) == 1
    assert media(xml, seed=SeedPart("/seed", "sdb")) == {"sata sda": "", "sata sdb": "/seed"}


def test_drives_are_emptied_without_a_seed() -> None:
    full = CDROMS.replace("<target", "<source file='/gold.iso'/><target")
    assert media(domain(devices=full)) == {"sata sda": "", "sata sdb": ""}


def test_a_seed_disk_stays_a_disk_that_nobody_writes() -> None:
    old = "<disk type='block'><source dev='/dev/old'/><target dev='vdb' bus='virtio'/></disk>"
    xml = domain(devices=old)
    assert media(xml, seed=SeedPart("/seed", "vdb")) == {"virtio vdb": "/seed"}
    clone = clone_of(xml, seed=SeedPart("/seed", "vdb"))
    assert len(found(clone, "devices/disk[2]/readonly")) == 1
    assert found(clone, "devices/disk[2]/driver/@type") == ["raw"]
    assert media(xml) == {}  # no seed: nobody's disk


@pytest.mark.parametrize(
    ("arch", "machine", "disks", "place"),
    [
        ("x86_64", "pc-q35-7.2", [], "sata sda"),
        ("x86_64", "pc-q35-7.2", [("sda", "scsi")], "sata sdb"),  # names are of all buses
        ("x86_64", "pc-i440fx-7.2", [], "ide hda"),
        ("x86_64", "pc", [("hda", "ide"), ("hdb", "ide")], "ide hdc"),
        ("x86_64", "pc", [(f"hd{x}", "ide") for x in "abcd"], "sata sda"),  # IDE is full
        ("aarch64", "virt-7.2", [], "scsi sda"),
        ("x86_64", "q35", [(f"sd{chr(97 + n)}", "usb") for n in range(26)], "sata sdaa"),
    ],
)
def test_a_further_drive_is_on_a_bus_that_the_machine_has(
    arch: str, machine: str, disks: list[tuple[str, str]], place: str
) -> None:
    system = f"<os><type arch='{arch}' machine='{machine}'>hvm</type></os>"
    others = "".join(
        f"<disk type='file' device='floppy'><target dev='{name}' bus='{bus}'/></disk>"
        for name, bus in disks
    )
    assert list(media(on_scsi(system, others), seed=SEED).items())[-1] == (place, "/seed")


def test_a_further_drive_takes_no_place_that_is_taken_under_another_name() -> None:
    drive = (
        "<disk type='file' device='cdrom'><target dev='sdx' bus='sata'/>"
        "<address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>"
    )
    found_media = media(on_scsi(devices=drive), seed=SEED, cdroms=("/a",))
    assert found_media == {"sata sdx": "/a", "sata sdb": "/seed"}


@pytest.mark.parametrize(
    ("serial", "source", "becomes"),
    [
        ("golden-data", "/images/golden-data.qcow2", "22222222222"),
        ("8f14e45fceea4676b1d0", "/i/8f14e45fceea4676b1d0e5f2a3c4d5e6.qcow2", "2" * 20),  # cut
        ("8f14e45f-ceea-4676-b", "/i/8f14e45fceea4676b1d0e5f2a3c4d5e6", "22222222-2222-2222-2"),
        ("8F14E45FCEEA4676B1D0", "/i/8f14e45f-ceea-4676-b1d0-e5f2a3c4d5e6.raw", "2" * 20),
        ("vol-golden-data", "/i/golden-data.raw", "2" * 15),
        ("archive", "/images/archive.qcow2", "archive"),  # too short to name a volume
        ("data", "/images/golden-data.qcow2", "data"),
        ("WD-WMAYP0082329", "/images/golden-data.qcow2", "WD-WMAYP0082329"),
    ],
)
def test_a_serial_that_names_the_sources_volume_names_the_clones(
    serial: str, source: str, becomes: str
) -> None:
    disk = (
        f"<disk type='file'><source file='{source}'/><target dev='vdb' bus='virtio'/>"
        f"<serial>{serial}</serial></disk>"
    )
    clone = clone_of(domain(devices=disk), volumes=(ROOT, DATA))
    assert found(clone, "devices/disk[2]/serial") == [becomes]


def test_a_linked_clone_declares_its_chain_to_the_end() -> None:
    backing = (*LINKED.backing, BackingFile("/bases/older.qcow2", VolumeFormat.QCOW2))
    clone = clone_of(domain(), volumes=(replace(LINKED, backing=backing),))
    store = "devices/disk/backingStore"
    assert found(clone, f"{store}/source/@file") == ["/bases/root.raw"]
    assert found(clone, f"{store}/format/@type") == ["raw"]
    assert found(clone, f"{store}/backingStore/source/@file") == ["/bases/older.qcow2"]
    assert found(clone, f"{store}/backingStore/backingStore/*") == []
    assert len(found(clone, f"{store}/backingStore/backingStore")) == 1


def test_a_whole_file_declares_that_nothing_is_below_it() -> None:
    clone = clone_of(domain(), volumes=(ROOT,))
    assert found(clone, "devices/disk/backingStore/@*") == []
    assert len(found(clone, "devices/disk/backingStore")) == 1


def test_a_raw_volume_has_no_options_of_qcow2() -> None:
    driver = (
        "<driver name='qemu' type='qcow2' cache='none' discard_no_unref='on'>"
        "<metadata_cache><max_size unit='bytes'>4096</max_size></metadata_cache></driver>"
    )
    disk = f"<disk type='file'>{driver}<source file='/d'/><target dev='vdb' bus='virtio'/></disk>"
    for format_, options in ((VolumeFormat.QCOW2, 1), (VolumeFormat.RAW, 0)):
        data = replace(DATA, format=format_)
        clone = clone_of(domain(devices=disk), volumes=(ROOT, data))
        assert found(clone, "devices/disk[2]/driver/@type") == [format_]
        assert found(clone, "devices/disk[2]/driver/@cache") == ["none"]
        assert len(found(clone, "devices/disk[2]/driver/metadata_cache")) == options
        assert len(found(clone, "devices/disk[2]/driver/@discard_no_unref")) == options


@pytest.mark.parametrize(
    "devices",
    [
        "",
        "<disk type='file' device='cdrom'><target dev='vdb' bus='virtio'/></disk>",
        "<disk type='file'><target dev='vdb' bus='virtio'/><shareable/></disk>",
    ],
    ids=["gone", "drive", "shared"],
)
def test_a_volume_without_a_disk_to_replace_is_refused(devices: str) -> None:
    with pytest.raises(SourceNotCloneable, match=r"no disk vdb for volume\[uuid:2222.*only vda"):
        clone_of(domain(devices=devices), volumes=(ROOT, DATA))


def test_a_seed_without_a_drive_to_replace_is_refused() -> None:
    with pytest.raises(SourceNotCloneable, match="no drive sdq for the clone's seed"):
        clone_of(domain(), seed=SeedPart("/seed", "sdq"))
