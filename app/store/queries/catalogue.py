"""What VMs are described by."""

from app.store.queries.source import Source, shared


def _of_what_is_owned(row: str) -> str:
    tables = ("vm_instances", "volumes")
    return " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} owner WHERE owner.uuid = {row}.resource_uuid "
        "AND owner.account_uuid = :account)"
        for table in tables
    )


SOURCES = {
    "images": Source(
        "(SELECT i.*, 'Ready' AS status, 'zstack' AS type, 'RootVolumeTemplate' AS media_type, "
        "FALSE AS system FROM images i)",
        shared("ImageVO"),
    ),
    "instance_offerings": Source(
        "(SELECT o.*, 'UserVm' AS type, 0 AS sort_key FROM instance_offerings o)",
        shared("InstanceOfferingVO"),
    ),
    "disk_offerings": Source("disk_offerings", shared("DiskOfferingVO")),
    "system_tags": Source(
        "(SELECT t.*, FALSE AS inherent FROM tags t WHERE t.kind = 'System')", _of_what_is_owned
    ),
    "user_tags": Source("(SELECT t.* FROM tags t WHERE t.kind = 'User')", _of_what_is_owned),
}
