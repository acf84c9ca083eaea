"""VM instances and what belongs to them."""

from app.store.queries.source import (
    Source,
    of_visible_vm,
    owned_or_of_shared_vm,
    owned_or_shared,
)

# A NIC shows its first address. Written so that a plan can begin at the address.
_NICS = (
    "(SELECT n.*, v.hypervisor_type, u.uuid AS used_ip_uuid, u.ip, u.netmask, u.gateway, "
    "u.ip_version FROM vm_nics n JOIN vm_instances v ON v.uuid = n.vm_instance_uuid "
    "LEFT JOIN used_ips u ON u.vm_nic_uuid = n.uuid AND NOT EXISTS ("
    "SELECT 1 FROM used_ips earlier WHERE earlier.vm_nic_uuid = u.vm_nic_uuid "
    "AND (earlier.ip_version, earlier.created_at, earlier.uuid) "
    "< (u.ip_version, u.created_at, u.uuid)))"
)
_USED_IPS = (
    "(SELECT a.*, 'VmNic' AS used_for, n.vm_instance_uuid FROM used_ips a "
    "JOIN vm_nics n ON n.uuid = a.vm_nic_uuid)"
)
_DEVICES = "device_id, uuid"


SOURCES = {
    "vm_instances": Source("vm_instances", owned_or_shared),
    "vm_nics": Source(_NICS, of_visible_vm, order=_DEVICES),
    "used_ips": Source(_USED_IPS, of_visible_vm, order="ip_version, created_at, uuid"),
    "volumes": Source("volumes", owned_or_of_shared_vm, order=f"type <> 'Root', {_DEVICES}"),
    "vm_cdroms": Source("vm_cdroms", of_visible_vm, order=_DEVICES),
}
