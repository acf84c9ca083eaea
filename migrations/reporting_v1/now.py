"""What waits, and what there is: lines, limits, hosts and storages."""

from migrations.reporting_v1.view import View

QUEUE = View(
    "queue",
    "Names that wait, by account and host; empty where nothing waits",
    """
SELECT 'waiting' AS stage, w.account_uuid, a.name AS account_name, NULL::text AS host_uuid,
    NULL::text AS host_name, w.wait_reason, w.names, w.oldest_since_at,
    extract(epoch FROM clock_timestamp() - w.oldest_since_at)::float8 AS oldest_age_seconds
FROM (
    SELECT j.account_uuid, j.wait_reason::text AS wait_reason,
        sum(left_over.names)::bigint AS names, min(j.created_at) AS oldest_since_at
    FROM jobs j
    LEFT JOIN job_counters c ON c.job_uuid = j.uuid
    CROSS JOIN LATERAL (
        SELECT COALESCE(c.total - c.succeeded - c.failed - c.canceled, j.requested) - count(*)
            AS names FROM items i WHERE i.job_uuid = j.uuid AND i.finished_at IS NULL
            AND i.state IN ('Granted', 'Running', 'Made', 'RollingBack', 'Stranded')
    ) left_over
    WHERE j.state <> 'Finished' AND j.account_uuid IS NOT NULL AND left_over.names > 0
    GROUP BY j.account_uuid, j.wait_reason
) w LEFT JOIN accounts a ON a.uuid = w.account_uuid
UNION ALL
SELECT 'granted', j.account_uuid, a.name, i.host_uuid, h.name, i.wait_reason::text, count(*),
    min(i.granted_at), extract(epoch FROM clock_timestamp() - min(i.granted_at))::float8
FROM items i JOIN jobs j ON j.uuid = i.job_uuid
LEFT JOIN accounts a ON a.uuid = j.account_uuid
LEFT JOIN hosts h ON h.uuid = i.host_uuid
WHERE i.state = 'Granted'
GROUP BY j.account_uuid, a.name, i.host_uuid, h.name, i.wait_reason""",
    {
        "stage": "waiting: for a host and its reservations; granted: in the line of a host",
        "account_uuid": "whose names they are",
        "account_name": "that account's name",
        "host_uuid": "granted: the host in whose line they are",
        "host_name": "that host's name",
        "wait_reason": "why they wait (docs/operations.md); null where only their turn is missing",
        "names": "how many",
        "oldest_since_at": "waiting: when the oldest job was accepted; granted: the oldest grant",
        "oldest_age_seconds": "from then until now",
    },
)

# Another word for it would be wrong everywhere else; behind the schema it needs no quotes.
LIMIT = View(
    "limit",
    "How much may be under way at once, and how much is",
    """
WITH open AS (
    SELECT i.uuid, i.host_uuid, i.vm_uuid, i.bytes_total > 0 AS copies, j.account_uuid,
        j.vm_instance_uuid AS source_uuid
    FROM items i JOIN jobs j ON j.uuid = i.job_uuid
    WHERE i.state IN ('Granted', 'Running', 'RollingBack')
), used AS (
    SELECT 'host' AS scope, host_uuid AS resource_uuid, 'builds' AS name, count(*) AS in_use
    FROM open GROUP BY host_uuid
    UNION ALL SELECT 'host', host_uuid, 'fullCopies', count(*) FROM open WHERE copies
    GROUP BY host_uuid
    UNION ALL SELECT 'account', account_uuid, 'builds', count(*) FROM open GROUP BY account_uuid
    UNION ALL SELECT 'source', source_uuid, 'builds', count(*) FROM open GROUP BY source_uuid
    UNION ALL SELECT 'primaryStorage', v.primary_storage_uuid, 'fullCopies',
        count(DISTINCT open.uuid) FROM open JOIN volumes v ON v.vm_instance_uuid = open.vm_uuid
        AND v.method = 'full' AND v.status = 'Creating' WHERE open.copies
    GROUP BY v.primary_storage_uuid
), resources AS (
    SELECT 'host' AS scope, uuid, name, slots AS declared,
        unnest(ARRAY['builds', 'fullCopies']) AS limit_name FROM hosts
    UNION ALL SELECT 'primaryStorage', uuid, name, NULL,
        unnest(ARRAY['fullCopies', 'bytesPerSecond']) FROM primary_storages
    UNION ALL SELECT 'account', uuid, name, NULL, 'builds' FROM accounts
    UNION ALL SELECT 'source', v.uuid, v.name, NULL, 'builds' FROM vm_instances v
    WHERE v.uuid IN (SELECT source_uuid FROM open
        UNION ALL SELECT l.resource_uuid FROM limits l WHERE l.scope = 'source')
)
SELECT r.scope, r.uuid AS resource_uuid, r.name AS resource_name, r.limit_name,
    COALESCE(own.value, preset.value, CASE r.limit_name WHEN 'builds' THEN r.declared END)::bigint
        AS limit_value,
    CASE WHEN own.value IS NOT NULL THEN 'own' WHEN preset.value IS NOT NULL THEN 'default'
        WHEN r.limit_name = 'builds' AND r.declared IS NOT NULL THEN 'declared'
        ELSE 'setting' END AS limit_origin,
    CASE WHEN r.limit_name <> 'bytesPerSecond' THEN COALESCE(used.in_use, 0) END AS in_use
FROM resources r
LEFT JOIN limits own ON own.scope::text = r.scope AND own.resource_uuid = r.uuid
    AND own.name::text = r.limit_name
LEFT JOIN limits preset ON preset.scope::text = r.scope AND preset.resource_uuid = ''
    AND preset.name::text = r.limit_name
LEFT JOIN used ON used.scope = r.scope AND used.resource_uuid = r.uuid
    AND used.name = r.limit_name""",
    {
        "scope": "host, primaryStorage, source or account",
        "resource_uuid": "which host, storage, source VM or account",
        "resource_name": "its name",
        "limit_name": "builds: names under way; fullCopies: full copies under way; "
        "bytesPerSecond: of all full copies together",
        "limit_value": "the most; null where only the workers' settings say, or nothing does",
        "limit_origin": "own, default, declared in the inventory, or setting",
        "in_use": "how much of it is under way; null for bytesPerSecond",
    },
)

HOST_CAPACITY = View(
    "host_capacity",
    "One row for each host: what it has and what is held",
    """
SELECT h.uuid AS host_uuid, h.name AS host_name, c.name AS cluster_name,
    c.hypervisor_type::text AS hypervisor_type, h.state::text AS state,
    COALESCE(h.seen_at > clock_timestamp() - interval '5 seconds', FALSE) AS is_connected,
    h.seen_at, h.cpu_num AS cpu_cores, k.total_cpu AS cpu_total,
    k.total_cpu - k.available_cpu AS cpu_reserved, h.foreign_cpu AS cpu_foreign,
    h.memory_size AS memory_physical_bytes, k.total_memory AS memory_total_bytes,
    k.total_memory - k.available_memory AS memory_reserved_bytes,
    h.foreign_memory AS memory_foreign_bytes, COALESCE(o.names, 0)::int AS names_open
FROM hosts h
JOIN clusters c ON c.uuid = h.cluster_uuid
JOIN host_capacities k ON k.host_uuid = h.uuid
LEFT JOIN (
    SELECT i.host_uuid, count(*) AS names FROM items i
    WHERE i.state IN ('Granted', 'Running', 'RollingBack') GROUP BY i.host_uuid
) o ON o.host_uuid = h.uuid""",
    {
        "host_uuid": "the host",
        "host_name": "its name",
        "cluster_name": "the name of its cluster",
        "hypervisor_type": "KVM, or Simulator: a host that is none",
        "state": "Enabled or Disabled",
        "is_connected": "a worker that serves it was there in the last five seconds",
        "seen_at": "when that worker was seen last",
        "cpu_cores": "the host's cores",
        "cpu_total": "CPUs that VMs may hold together, over-provisioned",
        "cpu_reserved": "CPUs that are held",
        "cpu_foreign": "CPUs of what runs there and is not vmclone's",
        "memory_physical_bytes": "the host's memory",
        "memory_total_bytes": "memory that VMs may hold together",
        "memory_reserved_bytes": "memory that is held",
        "memory_foreign_bytes": "memory of what runs there and is not vmclone's",
        "names_open": "names granted to it that have not ended",
    },
)

STORAGE_CAPACITY = View(
    "storage_capacity",
    "One row for each primary storage: what it has and what is held",
    """
SELECT p.uuid AS storage_uuid, p.name AS storage_name, p.type::text AS storage_type,
    h.name AS host_name, p.state::text AS state, p.seen_at, p.fault IS NOT NULL AS has_fault,
    p.fault_since AS fault_since_at, p.reflink AS has_reflink, k.total_bytes,
    k.total_bytes - k.available_bytes AS reserved_bytes, k.available_bytes,
    p.physical_total AS file_system_bytes, p.physical_free AS file_system_free_bytes
FROM primary_storages p
JOIN storage_capacities k ON k.primary_storage_uuid = p.uuid
LEFT JOIN hosts h ON h.uuid = p.host_uuid""",
    {
        "storage_uuid": "the primary storage",
        "storage_name": "its name",
        "storage_type": "LocalStorage, SharedMountPoint or Simulator",
        "host_name": "LocalStorage: the host that it is a folder of",
        "state": "Enabled or Disabled",
        "seen_at": "when a worker looked at it last",
        "has_fault": "it cannot be used now: not mounted, for one",
        "fault_since_at": "since when",
        "has_reflink": "its file system can share blocks between files",
        "total_bytes": "what volumes may reserve together",
        "reserved_bytes": "what they have reserved",
        "available_bytes": "what they have not",
        "file_system_bytes": "the size of its file system",
        "file_system_free_bytes": "what is free on it",
    },
)

VIEWS = (QUEUE, LIMIT, HOST_CAPACITY, STORAGE_CAPACITY)
