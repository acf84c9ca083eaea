"""VM instances and what belongs to them."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from app.zstack.resources.resource import Resource, many, one


def _signed_bytes(values: Mapping[str, Any]) -> list[int]:
    return [b - 256 if b > 127 else b for b in ip_address(values["ip"]).packed]


VM_INSTANCE = Resource(
    name="VmInstance",
    java="org.zstack.header.vm.VmInstanceInventory",
    source="vm_instances",
    path="/vm-instances",
    fields={
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
    },
    relations={
        "vmNics": many("VmNic", "vm_instance_uuid"),
        "allVolumes": many("Volume", "vm_instance_uuid"),
        "vmCdRoms": many("VmCdRom", "vm_instance_uuid"),
        "rootVolume": one("Volume", "root_volume_uuid"),
        "zone": one("Zone", "zone_uuid"),
        "cluster": one("Cluster", "cluster_uuid"),
        "host": one("Host", "host_uuid"),
        "image": one("Image", "image_uuid"),
        "instanceOffering": one("InstanceOffering", "instance_offering_uuid"),
    },
    lists=("vmNics", "allVolumes", "vmCdRoms"),
    # A primitive long of ZStack's; vmclone reserves none.
    computed={"reservedMemorySize": lambda _: 0},
)
VM_NIC = Resource(
    name="VmNic",
    java="org.zstack.header.vm.VmNicInventory",
    source="vm_nics",
    path="/vm-instances/nics",
    fields={
        "uuid": "uuid",
        "vmInstanceUuid": "vm_instance_uuid",
        "l3NetworkUuid": "l3_network_uuid",
        "usedIpUuid": "used_ip_uuid",
        "ip": "ip",
        "netmask": "netmask",
        "gateway": "gateway",
        "ipVersion": "ip_version",
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
    },
    relations={
        "usedIps": many("UsedIp", "vm_nic_uuid"),
        "usedIp": many("UsedIp", "vm_nic_uuid"),
        "vmInstance": one("VmInstance", "vm_instance_uuid"),
        "l3Network": one("L3Network", "l3_network_uuid"),
    },
    lists=("usedIps",),
)
USED_IP = Resource(
    name="UsedIp",
    java="org.zstack.header.network.l3.UsedIpInventory",
    source="used_ips",
    fields={
        "uuid": "uuid",
        "ipRangeUuid": "ip_range_uuid",
        "l3NetworkUuid": "l3_network_uuid",
        "ipVersion": "ip_version",
        "ip": "ip",
        "netmask": "netmask",
        "gateway": "gateway",
        "usedFor": "used_for",
        "ipInLong": "ip_in_long",
        "vmNicUuid": "vm_nic_uuid",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={
        "vmNic": one("VmNic", "vm_nic_uuid"),
        "l3Network": one("L3Network", "l3_network_uuid"),
        "ipRange": one("IpRange", "ip_range_uuid"),
    },
    computed={"ipInBinary": _signed_bytes},
)
VOLUME = Resource(
    name="Volume",
    java="org.zstack.header.volume.VolumeInventory",
    source="volumes",
    path="/volumes",
    fields={
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
    },
    relations={
        "vmInstance": one("VmInstance", "vm_instance_uuid"),
        "primaryStorage": one("PrimaryStorage", "primary_storage_uuid"),
        "image": one("Image", "root_image_uuid"),
        "diskOffering": one("DiskOffering", "disk_offering_uuid"),
    },
)
VM_CD_ROM = Resource(
    name="VmCdRom",
    java="org.zstack.header.vm.cdrom.VmCdRomInventory",
    source="vm_cdroms",
    path="/vm-instances/cdroms",
    fields={
        "uuid": "uuid",
        "vmInstanceUuid": "vm_instance_uuid",
        "deviceId": "device_id",
        "isoUuid": "iso_uuid",
        "isoInstallPath": "iso_install_path",
        "name": "name",
        "description": "description",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={"vmInstance": one("VmInstance", "vm_instance_uuid")},
)
