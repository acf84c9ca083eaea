"""tables of jobs, engine and inventory

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ACCOUNT_TYPE = postgresql.ENUM("SystemAdmin", "Normal", name="account_type", create_type=False)
BASE_SET_STATE = postgresql.ENUM(
    "Wanted", "Making", "Ready", "Deleting", "Failed", name="base_set_state", create_type=False
)
CLONE_METHOD = postgresql.ENUM(
    "auto", "reflink", "linked", "full", name="clone_method", create_type=False
)
HYPERVISOR_TYPE = postgresql.ENUM("KVM", "Simulator", name="hypervisor_type", create_type=False)
IP_ALLOCATOR = postgresql.ENUM(
    "RandomIpAllocatorStrategy",
    "FirstAvailableIpAllocatorStrategy",
    name="ip_allocator",
    create_type=False,
)
ITEM_STATE = postgresql.ENUM(
    "Waiting",
    "Granted",
    "Running",
    "Made",
    "RollingBack",
    "Stranded",
    "Succeeded",
    "Failed",
    "Canceled",
    name="item_state",
    create_type=False,
)
JOB_OUTCOME = postgresql.ENUM(
    "Succeeded", "PartiallySucceeded", "Failed", "Canceled", name="job_outcome", create_type=False
)
JOB_STATE = postgresql.ENUM(
    "Accepted", "Running", "Finishing", "Finished", name="job_state", create_type=False
)
NIC_STATE = postgresql.ENUM("enable", "disable", name="nic_state", create_type=False)
ORIGIN = postgresql.ENUM("adopted", "cloned", name="origin", create_type=False)
RESERVATION_KIND = postgresql.ENUM(
    "Cpu", "Memory", "Storage", name="reservation_kind", create_type=False
)
RESOURCE_STATE = postgresql.ENUM("Enabled", "Disabled", name="resource_state", create_type=False)
STEP_NAME = postgresql.ENUM(
    "allocate_host",
    "copy_root_volume",
    "copy_data_volumes",
    "attach_nics",
    "customize_guest",
    "define_vm",
    "start_vm",
    name="step_name",
    create_type=False,
)
STORAGE_TYPE = postgresql.ENUM(
    "LocalStorage", "SharedMountPoint", "Simulator", name="storage_type", create_type=False
)
TAG_KIND = postgresql.ENUM("System", "User", name="tag_kind", create_type=False)
VM_STATE = postgresql.ENUM(
    "Created",
    "Starting",
    "Running",
    "Stopping",
    "Stopped",
    "Rebooting",
    "Destroying",
    "Destroyed",
    "Migrating",
    "Expunging",
    "Pausing",
    "Paused",
    "Resuming",
    "VolumeMigrating",
    "VolumeRecovering",
    "Error",
    "NoState",
    "Unknown",
    "Crashed",
    name="vm_state",
    create_type=False,
)
VOLUME_FORMAT = postgresql.ENUM("qcow2", "raw", name="volume_format", create_type=False)
VOLUME_STATUS = postgresql.ENUM(
    "Creating", "Ready", "NotInstantiated", "Deleted", name="volume_status", create_type=False
)
VOLUME_TYPE = postgresql.ENUM("Root", "Data", name="volume_type", create_type=False)
WAIT_REASON = postgresql.ENUM(
    "base",
    "sourceBusy",
    "hostSlots",
    "storageSlots",
    "storageRate",
    "sourceSlots",
    "accountShare",
    "releasing",
    "retry",
    "paused",
    "hostLost",
    name="wait_reason",
    create_type=False,
)
ENUMS = (
    ACCOUNT_TYPE,
    BASE_SET_STATE,
    CLONE_METHOD,
    HYPERVISOR_TYPE,
    IP_ALLOCATOR,
    ITEM_STATE,
    JOB_OUTCOME,
    JOB_STATE,
    NIC_STATE,
    ORIGIN,
    RESERVATION_KIND,
    RESOURCE_STATE,
    STEP_NAME,
    STORAGE_TYPE,
    TAG_KIND,
    VM_STATE,
    VOLUME_FORMAT,
    VOLUME_STATUS,
    VOLUME_TYPE,
    WAIT_REASON,
)


def upgrade() -> None:
    for enum in ENUMS:
        enum.create(op.get_bind(), checkfirst=False)
    op.create_table(
        "accounts",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", ACCOUNT_TYPE, nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column(
            "xid",
            sa.BigInteger(),
            server_default=sa.text("pg_current_xact_id()::text::bigint"),
            nullable=False,
        ),
        sa.Column("job_uuid", sa.String(length=32), nullable=False),
        sa.Column("item_uuid", sa.String(length=32), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column(
            "facts", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_job", "events", ["job_uuid", "id"], unique=False)
    op.create_index("events_order", "events", ["xid", "id"], unique=False)
    op.create_table(
        "images",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", RESOURCE_STATE, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_table(
        "instance_offerings",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("cpu_num", sa.Integer(), nullable=False),
        sa.Column("cpu_speed", sa.Integer(), nullable=False),
        sa.Column("memory_size", sa.BigInteger(), nullable=False),
        sa.Column("allocator_strategy", sa.String(), nullable=True),
        sa.Column("state", RESOURCE_STATE, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_table(
        "reservations",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("kind", RESERVATION_KIND, nullable=False),
        sa.Column("resource_uuid", sa.String(length=32), nullable=False),
        sa.Column("holder_uuid", sa.String(length=32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("holder_uuid", "kind", name="reservations_holder"),
    )
    op.create_index("reservations_resource", "reservations", ["resource_uuid"], unique=False)
    op.create_table(
        "sweeper_passes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "passed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "steals_from",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("id = 1", name="sweeper_passes_one"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "tags",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("resource_uuid", sa.String(length=32), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("kind", TAG_KIND, nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("resource_uuid", "kind", "tag", name="tags_unique"),
    )
    op.create_table(
        "zones",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("state", RESOURCE_STATE, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "clusters",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("zone_uuid", sa.String(length=32), nullable=False),
        sa.Column("hypervisor_type", HYPERVISOR_TYPE, nullable=False),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("state", RESOURCE_STATE, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["zone_uuid"],
            ["zones.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("name"),
    )
    op.create_index(op.f("ix_clusters_zone_uuid"), "clusters", ["zone_uuid"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("account_uuid", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("job_uuid", sa.String(length=32), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["account_uuid"], ["accounts.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_uuid", "key"),
    )
    op.create_table(
        "l3_networks",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("zone_uuid", sa.String(length=32), nullable=False),
        sa.Column("bridge", sa.String(), nullable=True),
        sa.Column("dns", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("ip_allocator", IP_ALLOCATOR, nullable=False),
        sa.Column("state", RESOURCE_STATE, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["zone_uuid"],
            ["zones.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("name"),
    )
    op.create_index(op.f("ix_l3_networks_zone_uuid"), "l3_networks", ["zone_uuid"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("account_uuid", sa.String(length=32), nullable=False),
        sa.Column("user_uuid", sa.String(length=32), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["account_uuid"], ["accounts.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_index(op.f("ix_sessions_account_uuid"), "sessions", ["account_uuid"], unique=False)
    op.create_table(
        "cluster_l3_networks",
        sa.Column("cluster_uuid", sa.String(length=32), nullable=False),
        sa.Column("l3_network_uuid", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["cluster_uuid"], ["clusters.uuid"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["l3_network_uuid"], ["l3_networks.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("cluster_uuid", "l3_network_uuid"),
    )
    op.create_table(
        "hosts",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("cluster_uuid", sa.String(length=32), nullable=False),
        sa.Column("management_ip", sa.String(), nullable=False),
        sa.Column("libvirt_uri", sa.String(), nullable=True),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("cpu_num", sa.Integer(), nullable=False),
        sa.Column("memory_size", sa.BigInteger(), nullable=False),
        sa.Column("state", RESOURCE_STATE, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=True),
        sa.Column("machine_id", sa.String(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["cluster_uuid"],
            ["clusters.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("name"),
    )
    op.create_index(op.f("ix_hosts_cluster_uuid"), "hosts", ["cluster_uuid"], unique=False)
    op.create_table(
        "ip_ranges",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("l3_network_uuid", sa.String(length=32), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("start_ip", sa.String(), nullable=False),
        sa.Column("end_ip", sa.String(), nullable=False),
        sa.Column("start_ip_in_long", sa.BigInteger(), nullable=False),
        sa.Column("end_ip_in_long", sa.BigInteger(), nullable=False),
        sa.Column("netmask", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=True),
        sa.Column("network_cidr", sa.String(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["l3_network_uuid"], ["l3_networks.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_index(
        op.f("ix_ip_ranges_l3_network_uuid"), "ip_ranges", ["l3_network_uuid"], unique=False
    )
    op.create_table(
        "host_capacities",
        sa.Column("host_uuid", sa.String(length=32), nullable=False),
        sa.Column("total_cpu", sa.BigInteger(), nullable=False),
        sa.Column("available_cpu", sa.BigInteger(), nullable=False),
        sa.Column("total_memory", sa.BigInteger(), nullable=False),
        sa.Column("available_memory", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("available_cpu >= 0", name="host_capacities_cpu"),
        sa.CheckConstraint("available_memory >= 0", name="host_capacities_memory"),
        sa.ForeignKeyConstraint(["host_uuid"], ["hosts.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("host_uuid"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "primary_storages",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("zone_uuid", sa.String(length=32), nullable=False),
        sa.Column("type", STORAGE_TYPE, nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("host_uuid", sa.String(length=32), nullable=True),
        sa.Column("declared_bytes", sa.BigInteger(), nullable=True),
        sa.Column("state", RESOURCE_STATE, nullable=False),
        sa.Column("initialized_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column("fault_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("file_system_id", sa.String(), nullable=True),
        sa.Column("reflink", sa.Boolean(), nullable=False),
        sa.Column("physical_total", sa.BigInteger(), nullable=True),
        sa.Column("physical_free", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["host_uuid"],
            ["hosts.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["zone_uuid"],
            ["zones.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "vm_instances",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("internal_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=2048), nullable=True),
        sa.Column("account_uuid", sa.String(length=32), nullable=False),
        sa.Column("zone_uuid", sa.String(length=32), nullable=True),
        sa.Column("cluster_uuid", sa.String(length=32), nullable=True),
        sa.Column("host_uuid", sa.String(length=32), nullable=True),
        sa.Column("last_host_uuid", sa.String(length=32), nullable=True),
        sa.Column("image_uuid", sa.String(length=32), nullable=True),
        sa.Column("instance_offering_uuid", sa.String(length=32), nullable=True),
        sa.Column("root_volume_uuid", sa.String(length=32), nullable=True),
        sa.Column("default_l3_network_uuid", sa.String(length=32), nullable=True),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("guest_os_type", sa.String(), nullable=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("hypervisor_type", HYPERVISOR_TYPE, nullable=False),
        sa.Column("cpu_num", sa.Integer(), nullable=False),
        sa.Column("cpu_speed", sa.Integer(), nullable=False),
        sa.Column("memory_size", sa.BigInteger(), nullable=False),
        sa.Column("allocator_strategy", sa.String(), nullable=True),
        sa.Column("state", VM_STATE, nullable=False),
        sa.Column("origin", ORIGIN, nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["account_uuid"],
            ["accounts.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["cluster_uuid"],
            ["clusters.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["host_uuid"],
            ["hosts.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["last_host_uuid"],
            ["hosts.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["zone_uuid"],
            ["zones.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("internal_id"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "vm_instances_account", "vm_instances", ["account_uuid", "created_at"], unique=False
    )
    op.create_index("vm_instances_host", "vm_instances", ["host_uuid"], unique=False)
    op.create_index("vm_instances_name", "vm_instances", ["name"], unique=False)
    op.create_table(
        "base_sets",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("vm_instance_uuid", sa.String(length=32), nullable=False),
        sa.Column("host_uuid", sa.String(length=32), nullable=False),
        sa.Column("with_data_volumes", sa.Boolean(), nullable=False),
        sa.Column("state", BASE_SET_STATE, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lapses", sa.Integer(), nullable=False),
        sa.Column("wait_reason", WAIT_REASON, nullable=True),
        sa.Column("consistency", sa.String(), nullable=True),
        sa.Column(
            "error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "last_used_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["host_uuid"],
            ["hosts.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["vm_instance_uuid"],
            ["vm_instances.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_index(
        "base_sets_one_in_making",
        "base_sets",
        ["vm_instance_uuid"],
        unique=True,
        postgresql_where=sa.text("state IN ('Wanted', 'Making')"),
    )
    op.create_index(
        op.f("ix_base_sets_vm_instance_uuid"), "base_sets", ["vm_instance_uuid"], unique=False
    )
    op.create_table(
        "cluster_primary_storages",
        sa.Column("cluster_uuid", sa.String(length=32), nullable=False),
        sa.Column("primary_storage_uuid", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["cluster_uuid"], ["clusters.uuid"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["primary_storage_uuid"], ["primary_storages.uuid"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("cluster_uuid", "primary_storage_uuid"),
    )
    op.create_table(
        "storage_capacities",
        sa.Column("primary_storage_uuid", sa.String(length=32), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("available_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("available_bytes >= 0", name="storage_capacities_bytes"),
        sa.ForeignKeyConstraint(
            ["primary_storage_uuid"], ["primary_storages.uuid"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("primary_storage_uuid"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "vm_cdroms",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("vm_instance_uuid", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("iso_uuid", sa.String(length=32), nullable=True),
        sa.Column("iso_install_path", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["vm_instance_uuid"], ["vm_instances.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("vm_instance_uuid", "device_id", name="vm_cdroms_device"),
    )
    op.create_table(
        "vm_nics",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("vm_instance_uuid", sa.String(length=32), nullable=False),
        sa.Column("l3_network_uuid", sa.String(length=32), nullable=False),
        sa.Column("mac", sa.String(length=17), nullable=False),
        sa.Column("internal_name", sa.String(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("driver_type", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("state", NIC_STATE, nullable=False),
        sa.Column("meta_data", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["l3_network_uuid"],
            ["l3_networks.uuid"],
        ),
        sa.ForeignKeyConstraint(["vm_instance_uuid"], ["vm_instances.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("mac", name="vm_nics_mac"),
    )
    op.create_index("vm_nics_vm", "vm_nics", ["vm_instance_uuid", "device_id"], unique=False)
    op.create_table(
        "bases",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("base_set_uuid", sa.String(length=32), nullable=False),
        sa.Column("volume_uuid", sa.String(length=32), nullable=False),
        sa.Column("primary_storage_uuid", sa.String(length=32), nullable=False),
        sa.Column("install_path", sa.String(), nullable=False),
        sa.Column("format", VOLUME_FORMAT, nullable=False),
        sa.Column("virtual_size", sa.BigInteger(), nullable=False),
        sa.Column("actual_size", sa.BigInteger(), nullable=True),
        sa.Column("handed_to", sa.String(length=32), nullable=True),
        sa.Column(
            "signature", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.ForeignKeyConstraint(["base_set_uuid"], ["base_sets.uuid"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["primary_storage_uuid"],
            ["primary_storages.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("base_set_uuid", "volume_uuid", name="bases_volume"),
        sa.UniqueConstraint("install_path", name="bases_install_path"),
    )
    op.create_table(
        "jobs",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("state", JOB_STATE, nullable=False),
        sa.Column("outcome", JOB_OUTCOME, nullable=True),
        sa.Column("account_uuid", sa.String(length=32), nullable=True),
        sa.Column("vm_instance_uuid", sa.String(), nullable=False),
        sa.Column(
            "request", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "spec", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "ignored", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("requested", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column(
            "policy", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("api_timeout_ms", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("web_hook", sa.String(), nullable=True),
        sa.Column("wants_schema", sa.Boolean(), nullable=False),
        sa.Column("client_ip", sa.String(), nullable=True),
        sa.Column("wait_reason", WAIT_REASON, nullable=True),
        sa.Column("base_set_uuid", sa.String(length=32), nullable=True),
        sa.Column(
            "error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("retry_of", sa.String(length=32), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["base_set_uuid"],
            ["base_sets.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(op.f("ix_jobs_base_set_uuid"), "jobs", ["base_set_uuid"], unique=False)
    op.create_index("jobs_account", "jobs", ["account_uuid", "created_at"], unique=False)
    op.create_index(
        "jobs_open",
        "jobs",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("state <> 'Finished'"),
    )
    op.create_index("jobs_state", "jobs", ["state", "created_at"], unique=False)
    op.create_table(
        "used_ips",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("ip_range_uuid", sa.String(length=32), nullable=True),
        sa.Column("l3_network_uuid", sa.String(length=32), nullable=False),
        sa.Column("vm_nic_uuid", sa.String(length=32), nullable=True),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("ip_in_long", sa.BigInteger(), nullable=False),
        sa.Column("netmask", sa.String(), nullable=True),
        sa.Column("gateway", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["ip_range_uuid"],
            ["ip_ranges.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["l3_network_uuid"],
            ["l3_networks.uuid"],
        ),
        sa.ForeignKeyConstraint(["vm_nic_uuid"], ["vm_nics.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("l3_network_uuid", "ip", name="used_ips_unique"),
    )
    op.create_index(op.f("ix_used_ips_vm_nic_uuid"), "used_ips", ["vm_nic_uuid"], unique=False)
    op.create_index("used_ips_in_long", "used_ips", ["l3_network_uuid", "ip_in_long"], unique=False)
    op.create_table(
        "items",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("job_uuid", sa.String(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", ITEM_STATE, nullable=False),
        sa.Column("vm_uuid", sa.String(length=32), nullable=False),
        sa.Column("volume_uuids", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("nic_uuids", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("host_uuid", sa.String(length=32), nullable=True),
        sa.Column(
            "plan", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("step", STEP_NAME, nullable=True),
        sa.Column("wait_reason", WAIT_REASON, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lapses", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("method", CLONE_METHOD, nullable=True),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=True),
        sa.Column("identity", sa.String(), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_as", ITEM_STATE, nullable=True),
        sa.Column(
            "error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["host_uuid"],
            ["hosts.uuid"],
        ),
        sa.ForeignKeyConstraint(["job_uuid"], ["jobs.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("job_uuid", "ordinal", name="items_ordinal"),
        sa.UniqueConstraint("vm_uuid", name="items_vm"),
        postgresql_with={"fillfactor": "70", "toast_tuple_target": "256"},
    )
    op.create_index(
        "items_open",
        "items",
        ["state", "job_uuid"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('Granted', 'Running', 'Made', 'RollingBack', 'Stranded')"
        ),
    )
    op.create_index(
        "items_waiting",
        "items",
        ["job_uuid", "ordinal"],
        unique=False,
        postgresql_where=sa.text("state = 'Waiting'"),
    )
    op.create_table(
        "job_counters",
        sa.Column("job_uuid", sa.String(length=32), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("canceled", sa.Integer(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("succeeded + failed + canceled <= total", name="job_counters_total"),
        sa.ForeignKeyConstraint(["job_uuid"], ["jobs.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_uuid"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "job_results",
        sa.Column("job_uuid", sa.String(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("schema_body", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["job_uuid"], ["jobs.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_uuid"),
    )
    op.create_table(
        "volumes",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("account_uuid", sa.String(length=32), nullable=False),
        sa.Column("vm_instance_uuid", sa.String(length=32), nullable=True),
        sa.Column("primary_storage_uuid", sa.String(length=32), nullable=False),
        sa.Column("disk_offering_uuid", sa.String(length=32), nullable=True),
        sa.Column("root_image_uuid", sa.String(length=32), nullable=True),
        sa.Column("install_path", sa.String(), nullable=True),
        sa.Column("type", VOLUME_TYPE, nullable=False),
        sa.Column("format", VOLUME_FORMAT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("actual_size", sa.BigInteger(), nullable=True),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("status", VOLUME_STATUS, nullable=False),
        sa.Column("is_shareable", sa.Boolean(), nullable=False),
        sa.Column("origin", ORIGIN, nullable=False),
        sa.Column("method", CLONE_METHOD, nullable=True),
        sa.Column("base_uuid", sa.String(length=32), nullable=True),
        sa.Column(
            "backing", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "last_op_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["account_uuid"],
            ["accounts.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["base_uuid"],
            ["bases.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["primary_storage_uuid"],
            ["primary_storages.uuid"],
        ),
        sa.ForeignKeyConstraint(
            ["vm_instance_uuid"],
            ["vm_instances.uuid"],
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("install_path", name="volumes_install_path"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "volumes_base",
        "volumes",
        ["base_uuid"],
        unique=False,
        postgresql_where=sa.text("base_uuid IS NOT NULL"),
    )
    op.create_index("volumes_vm", "volumes", ["vm_instance_uuid", "device_id"], unique=False)
    op.create_table(
        "webhooks",
        sa.Column("uuid", sa.String(length=32), nullable=False),
        sa.Column("job_uuid", sa.String(length=32), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_uuid"], ["jobs.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_index(op.f("ix_webhooks_job_uuid"), "webhooks", ["job_uuid"], unique=False)
    op.create_index(
        "webhooks_due",
        "webhooks",
        ["not_before"],
        unique=False,
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "steps",
        sa.Column("item_uuid", sa.String(length=32), nullable=False),
        sa.Column("name", STEP_NAME, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column(
            "facts", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["item_uuid"], ["items.uuid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("item_uuid", "name"),
    )
    op.execute("ALTER TABLE items ALTER COLUMN plan SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("steps")
    op.drop_index(
        "webhooks_due", table_name="webhooks", postgresql_where=sa.text("delivered_at IS NULL")
    )
    op.drop_index(op.f("ix_webhooks_job_uuid"), table_name="webhooks")
    op.drop_table("webhooks")
    op.drop_index("volumes_vm", table_name="volumes")
    op.drop_index(
        "volumes_base", table_name="volumes", postgresql_where=sa.text("base_uuid IS NOT NULL")
    )
    op.drop_table("volumes")
    op.drop_table("job_results")
    op.drop_table("job_counters")
    op.drop_index(
        "items_waiting", table_name="items", postgresql_where=sa.text("state = 'Waiting'")
    )
    op.drop_index(
        "items_open",
        table_name="items",
        postgresql_where=sa.text(
            "state IN ('Granted', 'Running', 'Made', 'RollingBack', 'Stranded')"
        ),
    )
    op.drop_table("items")
    op.drop_index("used_ips_in_long", table_name="used_ips")
    op.drop_index(op.f("ix_used_ips_vm_nic_uuid"), table_name="used_ips")
    op.drop_table("used_ips")
    op.drop_index("jobs_state", table_name="jobs")
    op.drop_index("jobs_open", table_name="jobs", postgresql_where=sa.text("state <> 'Finished'"))
    op.drop_index("jobs_account", table_name="jobs")
    op.drop_index(op.f("ix_jobs_base_set_uuid"), table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("bases")
    op.drop_index("vm_nics_vm", table_name="vm_nics")
    op.drop_table("vm_nics")
    op.drop_table("vm_cdroms")
    op.drop_table("storage_capacities")
    op.drop_table("cluster_primary_storages")
    op.drop_index(op.f("ix_base_sets_vm_instance_uuid"), table_name="base_sets")
    op.drop_index(
        "base_sets_one_in_making",
        table_name="base_sets",
        postgresql_where=sa.text("state IN ('Wanted', 'Making')"),
    )
    op.drop_table("base_sets")
    op.drop_index("vm_instances_name", table_name="vm_instances")
    op.drop_index("vm_instances_host", table_name="vm_instances")
    op.drop_index("vm_instances_account", table_name="vm_instances")
    op.drop_table("vm_instances")
    op.drop_table("primary_storages")
    op.drop_table("host_capacities")
    op.drop_index(op.f("ix_ip_ranges_l3_network_uuid"), table_name="ip_ranges")
    op.drop_table("ip_ranges")
    op.drop_index(op.f("ix_hosts_cluster_uuid"), table_name="hosts")
    op.drop_table("hosts")
    op.drop_table("cluster_l3_networks")
    op.drop_index(op.f("ix_sessions_account_uuid"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_index(op.f("ix_l3_networks_zone_uuid"), table_name="l3_networks")
    op.drop_table("l3_networks")
    op.drop_table("idempotency_keys")
    op.drop_index(op.f("ix_clusters_zone_uuid"), table_name="clusters")
    op.drop_table("clusters")
    op.drop_table("zones")
    op.drop_table("tags")
    op.drop_table("sweeper_passes")
    op.drop_index("reservations_resource", table_name="reservations")
    op.drop_table("reservations")
    op.drop_table("instance_offerings")
    op.drop_table("images")
    op.drop_index("events_order", table_name="events")
    op.drop_index("events_job", table_name="events")
    op.drop_table("events")
    op.drop_table("accounts")
    for enum in ENUMS:
        enum.drop(op.get_bind(), checkfirst=False)
