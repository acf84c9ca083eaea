"""Many VMs at once, each with a NIC, an address, a root volume and a tag."""

from sqlalchemy import Connection, text

from tests.factories import ADMIN, Inventory

_STATEMENTS = (
    "INSERT INTO vm_instances (uuid, name, account_uuid, zone_uuid, cluster_uuid, host_uuid, "
    "root_volume_uuid, platform, architecture, type, hypervisor_type, cpu_num, cpu_speed, "
    "memory_size, state, origin) SELECT lpad(n::text, 32, '0'), 'vm-' || n, :account, :zone, "
    ":cluster, :host, 'd' || lpad(n::text, 31, '0'), 'Linux', 'x86_64', 'UserVm', 'Simulator', "
    "1, 0, 1 << 28, 'Running', 'cloned' FROM generate_series(1, :count) n",
    "INSERT INTO volumes (uuid, name, account_uuid, vm_instance_uuid, primary_storage_uuid, type, "
    "format, size, device_id, state, status, is_shareable, origin) "
    "SELECT 'd' || lpad(n::text, 31, '0'), 'ROOT-for-vm-' || n, :account, "
    "lpad(n::text, 32, '0'), :storage, 'Root', 'qcow2', 1 << 20, 0, 'Enabled', 'Ready', FALSE, "
    "'cloned' FROM generate_series(1, :count) n",
    "INSERT INTO vm_nics (uuid, vm_instance_uuid, l3_network_uuid, mac, internal_name, device_id, "
    "driver_type, type, state) SELECT 'e' || lpad(n::text, 31, '0'), lpad(n::text, 32, '0'), "
    ":network, 'fa:01:' || regexp_replace(lpad(to_hex(n), 8, '0'), '(..)(..)(..)(..)', "
    "'\\1:\\2:\\3:\\4'), 'vnic' || n || '.0', 0, 'virtio', 'VNIC', 'enable' "
    "FROM generate_series(1, :count) n",
    "INSERT INTO used_ips (uuid, l3_network_uuid, vm_nic_uuid, ip, ip_version, ip_in_long) "
    "SELECT 'f' || lpad(n::text, 31, '0'), :network, 'e' || lpad(n::text, 31, '0'), "
    "host('10.100.0.0'::inet + n), 4, 174325760 + n FROM generate_series(1, :count) n",
    "INSERT INTO tags (uuid, resource_uuid, resource_type, kind, tag) "
    "SELECT 'c' || lpad(n::text, 31, '0'), lpad(n::text, 32, '0'), 'VmInstanceVO', 'User', "
    "'tag-' || n FROM generate_series(1, :count) n",
)


def add_vms(connection: Connection, made: Inventory, count: int) -> None:
    """vm-1 … vm-<count>; the n-th has the address 10.100.0.0 + n."""
    values = {
        "account": ADMIN,
        "zone": made.zone,
        "cluster": made.cluster,
        "host": made.hosts[0],
        "storage": made.storage,
        "network": made.l3_network,
        "count": count,
    }
    for statement in _STATEMENTS:
        needed = {name: value for name, value in values.items() if f":{name}" in statement}
        connection.execute(text(statement), needed)
