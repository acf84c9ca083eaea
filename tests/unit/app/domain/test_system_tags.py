"""What each system tag says, and what it cannot say."""

import pytest

from app.domain import system_tags
from app.domain.errors import InvalidArgument
from app.domain.machine_wish import BootDevice, BootMode, MachineWish, VmPriority
from app.domain.request import parse_clone_request
from app.domain.system_tags import Subnet

L3 = "a" * 32


def test_all_of_a_machines_tags() -> None:
    tags = ["consolePassword::se:cret", "bootMode::UEFI", "bootOrder::CdRom,HardDisk"]
    tags += ["vmPriority::High", "cleanTraffic::true", "driver::virtio", "qemuga"]
    assert system_tags.machine(tags) == MachineWish(
        boot_mode=BootMode.UEFI,
        boot_order=(BootDevice.CD_ROM, BootDevice.HARD_DISK),
        priority=VmPriority.HIGH,
        console_password="se:cret",
        clean_traffic=True,
        virtio=True,
        guest_agent=True,
    )
    assert system_tags.machine(["cleanTraffic::false"]) == MachineWish()


def test_secrets_and_what_is_used_up_are_no_tags_of_the_clones() -> None:
    tags = ["consolePassword::x", "rootPassword::y", f"customMac::{L3}::fa:00:00:00:00:01"]
    assert system_tags.known([*tags, "qemuga"]) == ("qemuga",)


def test_addresses_of_ipv6_are_written_with_hyphens() -> None:
    tags = [f"staticIp::{L3}::{ip}" for ip in ("fd00--9", "--1", "fd00:0:0:0:0:0:0:7")]
    assert list(system_tags.static_ips(tags)) == [(L3, "fd00::9"), (L3, "::1"), (L3, "fd00::7")]


def test_macs_are_in_the_tags_order() -> None:
    tags = [f"customMac::{L3}::FA:00:00:00:00:02", f"customMac::{L3}::fa:00:00:00:00:01"]
    found = list(system_tags.custom_macs(tags))
    assert found == [(L3, "fa:00:00:00:00:02"), (L3, "fa:00:00:00:00:01")]


def test_what_tags_say_of_a_network_is_one_value() -> None:
    tags = [f"ipv4Netmask::{L3}::255.255.0.0", f"ipv4Gateway::{L3}::10.0.0.1"]
    tags += [f"ipv6Prefix::{L3}::64", f"ipv6Gateway::{L3}::fd00--1"]
    said = Subnet(L3, "255.255.0.0", "10.0.0.1", 64, "fd00::1")
    assert system_tags.subnets(tags) == (said,)


def test_a_storage_for_data_volumes_may_be_a_tag_and_the_parameter_wins() -> None:
    tags = ["primaryStorageUuidForDataVolume::tagged"]
    request = parse_clone_request({"names": ["a"], "systemTags": tags})
    assert request.primary_storage_for_data == "tagged"
    request = parse_clone_request(
        {"names": ["a"], "systemTags": tags, "primaryStorageUuidForDataVolume": "named"}
    )
    assert request.primary_storage_for_data == "named"


@pytest.mark.parametrize(
    "tag",
    [
        "bootMode::Bios",
        "bootMode",
        "bootOrder::",
        "bootOrder::Floppy",
        "bootOrder::HardDisk,HardDisk",
        "vmPriority::high",
        "cleanTraffic::1",
        "driver::e1000",
        "qemuga::true",
        "consolePassword::",
        "consolePassword::ninechars",
        "consolePassword::a b",
        "consolePassword::\x07",
        "customMac::x::fa:00:00:00:00:01",
        f"customMac::{L3}",
        f"customMac::{L3}::01:00:00:00:00:01",
        f"ipv4Netmask::{L3}::255.0.255.0",
        f"ipv4Netmask::{L3}",
        f"ipv4Gateway::{L3}::fd00--1",
        f"ipv6Gateway::{L3}::10.0.0.1",
        f"ipv6Prefix::{L3}::0",
        f"ipv6Prefix::{L3}::\u0663",
        "staticIp::x::10.0.0.9",
        f"staticIp::{L3}::10.0.0",
        f"staticIp::{L3}::fe80--1%eth0",
    ],
)
def test_what_cannot_be_meant_is_refused(tag: str) -> None:
    with pytest.raises(InvalidArgument, match=tag.partition("::")[0]) as refused:
        parse_clone_request({"names": ["a"], "systemTags": [tag]})
    if tag.startswith("consolePassword::n"):
        assert "ninechars" not in refused.value.details


@pytest.mark.parametrize("tag", ["bootMode::UEFI", "qemuga", "consolePassword::x"])
def test_what_can_be_said_once_stands_once(tag: str) -> None:
    with pytest.raises(InvalidArgument, match="stands 2 times"):
        system_tags.machine([tag, tag])
