"""A VM that only the inventory knows has a domain that clones are built from as from any other."""

import pytest

from app.domain.errors import SourceNotCloneable
from app.domain.plan import BackingFile, SourceVolume, StorageRef, StorageType, VolumeFormat
from tests.unit.workers.hypervisors.kvm.sources import DATA, NIC, ROOT, clone_of, found
from workers.hypervisors.kvm.clone_parts import SeedPart
from workers.hypervisors.kvm.default_source import default_source
from workers.hypervisors.kvm.source_domain import BackingLayer, check_cloneable
from workers.hypervisors.kvm.source_xml import read_source

STORAGE = StorageRef("5" * 32, StorageType.LOCAL, "/images")
VOLUMES = (
    SourceVolume(
        "6" * 32,
        STORAGE,
        "/images/root.qcow2",
        VolumeFormat.QCOW2,
        (BackingFile("/images/base.raw", VolumeFormat.RAW),),
    ),
    SourceVolume("7" * 32, STORAGE, "/images/data.raw", VolumeFormat.RAW),
)

both = pytest.mark.parametrize("arch", ["x86_64", "aarch64"])


@both
def test_it_is_read_as_declared(arch: str) -> None:
    xml = default_source(
        arch, volumes=VOLUMES, nics=("virtio", "e1000"), cdroms=1, vcpu=3, memory=2 << 30
    )
    source = read_source(xml, None)
    assert check_cloneable(source) == ()
    assert (source.arch, source.vcpu, source.memory) == (arch, 3, 2 << 30)
    assert [(disk.target, disk.path, disk.format) for disk in source.disks[:2]] == [
        ("vda", "/images/root.qcow2", "qcow2"),
        ("vdb", "/images/data.raw", "raw"),
    ]
    assert source.disks[0].backing == (BackingLayer("file", "/images/base.raw", "raw"),)
    assert [disk.device for disk in source.disks[2:]] == ["cdrom"]
    assert [nic.model for nic in source.nics] == ["virtio", "e1000"]


@pytest.mark.parametrize(
    ("arch", "machine", "expected", "firmware"),
    [
        ("x86_64", None, "q35", None),
        ("x86_64", "pc-i440fx-7.2", "pc-i440fx-7.2", None),
        ("aarch64", None, "virt", "efi"),
    ],
)
def test_the_machine_is_the_architectures(
    arch: str, machine: str | None, expected: str, firmware: str | None
) -> None:
    source = read_source(default_source(arch, machine, volumes=VOLUMES), None)
    assert (source.machine, source.firmware) == (expected, firmware)


@both
def test_a_clone_of_it_can_be_talked_to(arch: str) -> None:
    xml = default_source(arch, volumes=VOLUMES)
    clone = clone_of(xml, volumes=(ROOT, DATA), nics=(NIC,), seed=SeedPart("/seed.iso"))
    files = ["/clones/root.qcow2", "/clones/data.qcow2", "/seed.iso"]
    assert found(clone, "devices/disk/source/@file") == files
    assert found(clone, "devices/interface/source/@bridge") == ["br-clones"]
    assert found(clone, "devices/console/@type") == ["pty"]
    assert found(clone, "devices/channel/target/@name") == ["org.qemu.guest_agent.0"]
    assert found(clone, "features/acpi") == [""]  # without it nobody could shut it down
    assert "/images/" not in str(found(clone, "//@*"))


def test_it_has_a_display_only_where_one_is_needed() -> None:
    without = default_source("x86_64", volumes=VOLUMES)
    assert "graphics" not in without
    assert "video" not in without
    clone = clone_of(default_source("x86_64", volumes=VOLUMES, graphics=True))
    assert found(clone, "devices/graphics/@autoport") == ["yes"]
    assert len(found(clone, "devices/video/model")) == 1


def test_an_architecture_without_a_default_machine_is_refused() -> None:
    with pytest.raises(SourceNotCloneable, match="no default machine for s390x, only for x86_64"):
        default_source("s390x", volumes=VOLUMES)
