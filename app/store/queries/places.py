"""Where VMs live, with what is free there, and what a worker last said of it."""

from app.store.hosts import SEEN_WITHIN_S, STORAGE_SEEN_WITHIN_S
from app.store.queries.source import Source, infrastructure, shared

_HOSTS = (
    "(SELECT h.*, c.zone_uuid, c.hypervisor_type, k.total_cpu, k.total_memory, "
    "GREATEST(k.available_cpu - h.foreign_cpu, 0) AS available_cpu, "
    "GREATEST(k.available_memory - h.foreign_memory, 0) AS available_memory, "
    "CASE WHEN h.seen_at IS NULL THEN 'Connecting' "
    f"WHEN h.seen_at > clock_timestamp() - interval '{SEEN_WITHIN_S} seconds' "
    "THEN 'Connected' ELSE 'Disconnected' END AS status "
    "FROM hosts h JOIN clusters c ON c.uuid = h.cluster_uuid "
    "LEFT JOIN host_capacities k ON k.host_uuid = h.uuid)"
)
_STORAGES = (
    "(SELECT s.*, k.total_bytes, k.available_bytes, "
    "CASE WHEN s.seen_at IS NULL THEN 'Connecting' WHEN s.fault IS NULL "
    f"AND s.seen_at > clock_timestamp() - interval '{STORAGE_SEEN_WITHIN_S} seconds' "
    "THEN 'Connected' ELSE 'Disconnected' END AS status, "
    "ARRAY(SELECT a.cluster_uuid FROM cluster_primary_storages a "
    "WHERE a.primary_storage_uuid = s.uuid ORDER BY 1) AS attached_cluster_uuids "
    "FROM primary_storages s LEFT JOIN storage_capacities k ON k.primary_storage_uuid = s.uuid)"
)
_NETWORKS = (
    "(SELECT l.uuid, l.name, l.description, l.zone_uuid, l.state, l.created_at, l.last_op_at, "
    "'L3BasicNetwork' AS type, 'Private' AS category, FALSE AS system, FALSE AS isolated, "
    "ARRAY(SELECT jsonb_array_elements_text(l.dns)) AS dns, "
    "ARRAY[]::text[] AS network_services, ARRAY[]::text[] AS host_route, "
    "COALESCE((SELECT min(r.ip_version) FROM ip_ranges r WHERE r.l3_network_uuid = l.uuid), 4) "
    "AS ip_version, "
    "EXISTS (SELECT 1 FROM ip_ranges r WHERE r.l3_network_uuid = l.uuid) AS enable_ipam "
    "FROM l3_networks l)"
)

SOURCES = {
    "zones": Source(
        "(SELECT z.*, 'zstack' AS type, FALSE AS is_default FROM zones z)", infrastructure
    ),
    "clusters": Source("(SELECT c.*, 'zstack' AS type FROM clusters c)", infrastructure),
    "hosts": Source(_HOSTS, infrastructure),
    "primary_storages": Source(_STORAGES, infrastructure),
    "cluster_primary_storages": Source("cluster_primary_storages", infrastructure),
    "l3_networks": Source(_NETWORKS, shared("L3NetworkVO")),
    "ip_ranges": Source(
        "(SELECT r.*, 'Normal' AS type, masklen(r.network_cidr::inet) AS prefix_len "
        "FROM ip_ranges r)",
        shared("L3NetworkVO", "l3_network_uuid"),
        order="ip_version, start_ip_in_long, start_ip, uuid",
    ),
}
