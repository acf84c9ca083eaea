"""Inventories as clients decode them."""

from typing import Any

from app.domain.query import Record
from app.zstack.dates import format_date
from app.zstack.inventories import inventory, paths, shape_of
from app.zstack.resources.machines import VM_INSTANCE
from app.zstack.resources.places import HOST
from tests.unit.app.zstack.rows import MOMENT, record, vm


def vm_inventory(record: Record) -> dict[str, Any]:
    return inventory(VM_INSTANCE, record)


def members(value: Any) -> list[Any]:
    """Every value at any depth."""
    if isinstance(value, dict):
        return [found for inner in value.values() for found in [inner, *members(inner)]]
    if isinstance(value, list):
        return [found for inner in value for found in [inner, *members(inner)]]
    return []


def test_what_is_null_is_left_out_at_every_depth() -> None:
    shown = vm_inventory(vm())
    assert None not in members(shown)
    assert shown == {
        "reservedMemorySize": 0,
        "uuid": "vm-a",
        "name": "a",
        "memorySize": 1 << 30,
        "createDate": format_date(MOMENT),
        "vmNics": [
            {
                "uuid": "nic",
                "mac": "fa:00:00:00:00:00",
                "deviceId": 0,
                "usedIpUuid": "ip-192.168.0.10",
                "ip": "192.168.0.10",
                "ipVersion": 4,
                "usedIps": [
                    {
                        "uuid": "ip-192.168.0.10",
                        "ip": "192.168.0.10",
                        "ipVersion": 4,
                        "ipInLong": 7,
                        "usedFor": "VmNic",
                        "ipInBinary": [-64, -88, 0, 10],
                    }
                ],
            }
        ],
        "allVolumes": [{"uuid": "volume-0", "deviceId": 0}],
        "vmCdRoms": [{"uuid": "cdrom", "deviceId": 0}],
    }


def test_empty_lists_stay() -> None:
    shown = vm_inventory(record(VM_INSTANCE, uuid="u"))
    lists: dict[str, list[object]] = {"vmNics": [], "allVolumes": [], "vmCdRoms": []}
    assert shown == {"uuid": "u", "reservedMemorySize": 0} | lists


def test_a_nic_without_address_has_no_address_members() -> None:
    (nic,) = vm_inventory(vm(ips=()))["vmNics"]
    assert nic == {"uuid": "nic", "mac": "fa:00:00:00:00:00", "deviceId": 0, "usedIps": []}


def test_a_nic_shows_its_first_address() -> None:
    (nic,) = vm_inventory(vm(ips=("10.0.0.2", "10.0.0.3")))["vmNics"]
    assert (nic["ip"], nic["usedIpUuid"]) == ("10.0.0.2", "ip-10.0.0.2")
    assert [ip["ip"] for ip in nic["usedIps"]] == ["10.0.0.2", "10.0.0.3"]


def test_an_address_of_version_6_has_sixteen_signed_bytes() -> None:
    (nic,) = vm_inventory(vm(ips=("fe80::ff",)))["vmNics"]
    assert nic["usedIps"][0]["ipInBinary"] == [-2, -128, *[0] * 13, -1]


def test_only_the_asked_fields_are_shown_and_read() -> None:
    fields = ("name", "vmNics", "description")
    assert inventory(VM_INSTANCE, vm(), fields).keys() == {"name", "vmNics"}
    assert shape_of(VM_INSTANCE, fields).lists.keys() == {"vmNics"}
    assert shape_of(VM_INSTANCE).lists.keys() == {"vmNics", "allVolumes", "vmCdRoms"}


def test_a_kvm_host_has_its_own_class() -> None:
    kvm = record(HOST, hypervisor_type="KVM")
    other = record(HOST, hypervisor_type="Simulator")
    assert dict(paths("h", HOST, kvm)) == {"h": "org.zstack.kvm.KVMHostInventory"}
    assert dict(paths("h", HOST, other)) == {"h": "org.zstack.header.host.HostInventory"}
