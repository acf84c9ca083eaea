"""VM instances as ZStack's inventories: field by field, null members left out, integers as
integers, addresses as signed bytes."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Protocol

from app.zstack.dates import format_date


class NicLike(Protocol):
    """A row of vm_nics with its hypervisor type, and its addresses."""

    @property
    def row(self) -> Any: ...
    @property
    def used_ips(self) -> Iterable[Any]: ...


class VmLike(Protocol):
    """A row of vm_instances with what belongs to it."""

    @property
    def row(self) -> Any: ...
    @property
    def nics(self) -> Iterable[NicLike]: ...
    @property
    def volumes(self) -> Iterable[Any]: ...
    @property
    def cdroms(self) -> Iterable[Any]: ...


# Wire name -> column.
VM_FIELDS: Mapping[str, str] = {
    "uuid": "uuid",
    "name": "name",
    "description": "description",
    "zoneUuid": "zone_uuid",
    "clusterUuid": "cluster_uuid",
    "imageUuid": "image_uuid",
    "hostUuid": "host_uuid",
    "lastHostUuid": "last_host_uuid",
    "instanceOfferingUuid": "instance_offering_uuid",
    "rootVolumeUuid": "root_volume_uuid",
    "platform": "platform",
    "architecture": "architecture",
    "guestOsType": "guest_os_type",
    "defaultL3NetworkUuid": "default_l3_network_uuid",
    "type": "type",
    "hypervisorType": "hypervisor_type",
    "memorySize": "memory_size",
    "cpuNum": "cpu_num",
    "cpuSpeed": "cpu_speed",
    "allocatorStrategy": "allocator_strategy",
    "internalId": "internal_id",
    "state": "state",
    "createDate": "created_at",
    "lastOpDate": "last_op_at",
}
NIC_FIELDS: Mapping[str, str] = {
    "uuid": "uuid",
    "vmInstanceUuid": "vm_instance_uuid",
    "l3NetworkUuid": "l3_network_uuid",
    "mac": "mac",
    "hypervisorType": "hypervisor_type",
    "metaData": "meta_data",
    "driverType": "driver_type",
    "internalName": "internal_name",
    "deviceId": "device_id",
    "type": "type",
    "state": "state",
    "createDate": "created_at",
    "lastOpDate": "last_op_at",
}
USED_IP_FIELDS: Mapping[str, str] = {
    "uuid": "uuid",
    "ipRangeUuid": "ip_range_uuid",
    "l3NetworkUuid": "l3_network_uuid",
    "ipVersion": "ip_version",
    "ip": "ip",
    "netmask": "netmask",
    "gateway": "gateway",
    "ipInLong": "ip_in_long",
    "vmNicUuid": "vm_nic_uuid",
    "createDate": "created_at",
    "lastOpDate": "last_op_at",
}
VOLUME_FIELDS: Mapping[str, str] = {
    "uuid": "uuid",
    "name": "name",
    "description": "description",
    "primaryStorageUuid": "primary_storage_uuid",
    "vmInstanceUuid": "vm_instance_uuid",
    "diskOfferingUuid": "disk_offering_uuid",
    "rootImageUuid": "root_image_uuid",
    "installPath": "install_path",
    "type": "type",
    "format": "format",
    "size": "size",
    "actualSize": "actual_size",
    "deviceId": "device_id",
    "state": "state",
    "status": "status",
    "isShareable": "is_shareable",
    "createDate": "created_at",
    "lastOpDate": "last_op_at",
}
CDROM_FIELDS: Mapping[str, str] = {
    "uuid": "uuid",
    "vmInstanceUuid": "vm_instance_uuid",
    "deviceId": "device_id",
    "isoUuid": "iso_uuid",
    "isoInstallPath": "iso_install_path",
    "name": "name",
    "description": "description",
    "createDate": "created_at",
    "lastOpDate": "last_op_at",
}
USED_FOR = "VmNic"


def vm_inventory(vm: VmLike) -> dict[str, Any]:
    return _members(vm.row, VM_FIELDS) | {
        "reservedMemorySize": 0,  # a primitive long of ZStack's; vmclone reserves none
        "vmNics": [nic_inventory(nic) for nic in vm.nics],
        "allVolumes": [_members(volume, VOLUME_FIELDS) for volume in vm.volumes],
        "vmCdRoms": [_members(cdrom, CDROM_FIELDS) for cdrom in vm.cdroms],
    }


def nic_inventory(nic: NicLike) -> dict[str, Any]:
    """The NIC's own address members are those of its first address."""
    used_ips = [used_ip_inventory(row) for row in nic.used_ips]
    inventory = _members(nic.row, NIC_FIELDS)
    if used_ips:
        first = used_ips[0]
        inventory["usedIpUuid"] = first["uuid"]
        for member in ("ip", "netmask", "gateway", "ipVersion"):
            if member in first:
                inventory[member] = first[member]
    inventory["usedIps"] = used_ips
    return inventory


def used_ip_inventory(row: Any) -> dict[str, Any]:
    return _members(row, USED_IP_FIELDS) | {
        "usedFor": USED_FOR,
        "ipInBinary": [b - 256 if b > 127 else b for b in ip_address(row.ip).packed],
    }


def _members(row: Any, fields: Mapping[str, str]) -> dict[str, Any]:
    members = {}
    for name, column in fields.items():
        value = getattr(row, column)
        if value is None:
            continue
        members[name] = format_date(value) if isinstance(value, datetime) else value
    return members
