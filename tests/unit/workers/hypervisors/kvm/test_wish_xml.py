"""What a request asks of a machine is in the clone's domain, whatever the source's had."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lxml.etree import _Element

from app.domain.machine_wish import BootDevice, BootMode, MachineWish, VmPriority
from app.domain.plan import VolumeFormat
from tests.unit.workers.hypervisors.kvm.sources import NIC, PARTS, ROOT, clone_of, domain, found
from workers.hypervisors.kvm.clone_parts import SeedPart, VolumePart
from workers.hypervisors.kvm.domain_xml import build

SATA = (
    "<disk type='file' device='disk'><source file='/images/data.raw'/>"
    "<driver name='qemu' type='raw'/><target dev='sda' bus='sata' rotation_rate='1'/><wwn>5</wwn>"
    "<address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>"
)
DATA = VolumePart("2" * 32, "sda", "/clones/data.raw", VolumeFormat.RAW)
UEFI = (
    "<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
    "<firmware><feature enabled='no' name='secure-boot'/></firmware>"
    "<loader readonly='yes' type='pflash'>/code.fd</loader><nvram>/vars.fd</nvram></os>"
)


def wishing(xml: str = domain(), **wish: Any) -> _Element:
    return clone_of(xml, wish=MachineWish(**wish))


def test_a_console_gets_the_password_that_was_asked_for() -> None:
    graphics = "<graphics type='vnc' port='5900' passwd='old'/><graphics type='spice'/>"
    xml = domain(devices=graphics)
    clone = wishing(xml, console_password="new")
    assert found(clone, "devices/graphics/@passwd") == ["new", "new"]
    parts = replace(PARTS, wish=MachineWish(console_password="new"))
    assert not any("password" in note for note in build(xml, parts).notes)
    assert any("password" in note for note in build(xml, PARTS).notes)


def test_a_machine_without_a_console_gets_one_for_its_password() -> None:
    clone = wishing(console_password="new")
    assert found(clone, "devices/graphics/@type") == ["vnc"]
    assert found(clone, "devices/graphics/@passwd") == ["new"]
    assert found(wishing(), "devices/graphics") == []


def test_firmware_is_changed_where_it_is_another() -> None:
    clone = wishing(boot_mode=BootMode.UEFI)
    assert found(clone, "os/@firmware") == ["efi"]
    legacy = wishing(domain(UEFI), boot_mode=BootMode.LEGACY)
    assert found(legacy, "os/@firmware | os/loader | os/nvram | os/firmware") == []
    assert found(legacy, "os/type") == ["hvm"]
    same = wishing(domain(UEFI), boot_mode=BootMode.UEFI)
    assert found(same, "os/loader") == ["/code.fd"]


def test_a_boot_order_takes_the_place_of_the_sources() -> None:
    xml = domain(devices="<interface type='user'><boot order='1'/></interface>").replace(
        "hvm</type>", "hvm</type><boot dev='hd'/>"
    )
    order = (BootDevice.CD_ROM, BootDevice.NETWORK, BootDevice.HARD_DISK)
    clone = wishing(xml, boot_order=order)
    assert found(clone, "os/boot/@dev") == ["cdrom", "network", "hd"]
    assert found(clone, "devices/*/boot") == []


def test_priorities_are_shares_of_the_cpu() -> None:
    high, normal = (wishing(priority=each) for each in (VmPriority.HIGH, VmPriority.NORMAL))
    assert found(high, "cputune/shares") == ["2048"]
    assert found(normal, "cputune/shares") == ["1024"]
    xml = domain("<cputune><shares>7</shares><quota>9000</quota></cputune>")
    clone = wishing(xml, priority=VmPriority.HIGH)
    assert found(clone, "cputune/shares | cputune/quota") == ["2048", "9000"]


def test_disks_move_to_virtio_with_names_and_places_of_that_bus() -> None:
    clone = clone_of(domain(devices=SATA), volumes=(ROOT, DATA), wish=MachineWish(virtio=True))
    assert found(clone, "devices/disk/target/@dev") == ["vda", "vdb"]
    assert found(clone, "devices/disk/target/@bus") == ["virtio", "virtio"]
    assert found(clone, "devices/disk/target/@rotation_rate | devices/disk/wwn") == []
    assert found(clone, "devices/disk/address") == []


def test_an_agents_channel_is_there_once() -> None:
    name = "devices/channel/target/@name"
    channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    assert found(wishing(guest_agent=True), name) == ["org.qemu.guest_agent.0"]
    assert len(found(wishing(domain(devices=channel), guest_agent=True), name)) == 1
    assert found(wishing(), name) == []


def test_clean_traffic_takes_the_place_of_any_filter() -> None:
    nic = (
        "<interface type='bridge'><source bridge='br0'/><filterref filter='own'>"
        "<parameter name='X' value='1'/></filterref></interface>"
    )
    part = replace(NIC, clean_traffic=True, ips=("10.0.0.9", "fd00::9"))
    clone = clone_of(domain(devices=nic), nics=(part, replace(part, mac="fa:00:00:00:00:02")))
    assert found(clone, "devices/interface/filterref/@filter") == ["clean-traffic"] * 2
    assert found(clone, "devices/interface/filterref/parameter/@value") == ["10.0.0.9"] * 2


def test_a_nic_has_as_many_queues_as_were_asked_for() -> None:
    nic = (
        "<interface type='bridge'><source bridge='b'/><driver name='vhost' queues='9'/></interface>"
    )
    for xml in (domain(devices=nic), domain()):
        clone = clone_of(xml, nics=(replace(NIC, model="virtio", queues=4),))
        assert found(clone, "devices/interface/driver/@queues") == ["4"]
    assert found(clone_of(domain(devices=nic)), "devices/interface/driver/@queues") == ["9"]


def test_new_disks_follow_on_the_bus_of_the_first(tmp_path: Path) -> None:
    new = VolumePart("3" * 32, None, "/clones/new.qcow2", VolumeFormat.QCOW2)
    seed = SeedPart(str(tmp_path / "seed.iso"))
    clone = clone_of(domain(), volumes=(ROOT, new, replace(new, path="/n2")), seed=seed)
    assert found(clone, "devices/disk/target/@dev") == ["vda", "vdb", "vdc", "vdd"]
    assert found(clone, "devices/disk/source/@file")[1:3] == ["/clones/new.qcow2", "/n2"]
    assert len(found(clone, "devices/disk/readonly")) == 1
    assert found(clone, "devices/disk[2]/backingStore/@type") == []
    sata = domain(devices=SATA).replace("vda", "sdb").replace("bus='virtio'", "bus='sata'")
    clone = clone_of(sata, volumes=(replace(ROOT, source_target="sdb"), DATA, new))
    assert found(clone, "devices/disk/target/@bus") == ["sata"] * 3
    assert sorted(found(clone, "devices/disk/target/@dev")) == ["sda", "sdb", "sdc"]


def test_a_description_is_the_requests() -> None:
    assert found(clone_of(domain(), description="a\x01b"), "description") == ["a\ufffdb"]
    assert found(clone_of(domain("<description>old</description>")), "description") == []
