"""jobs that remove VMs, and when a VM was destroyed

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KIND = postgresql.ENUM("clone", "destroy", "expunge", name="job_kind", create_type=False)


def upgrade() -> None:
    KIND.create(op.get_bind())
    for table in ("jobs", "items"):
        op.add_column(
            table, sa.Column("kind", KIND, nullable=False, server_default=sa.text("'clone'"))
        )
    op.add_column("vm_instances", sa.Column("destroyed_at", sa.DateTime(timezone=True)))
    op.drop_constraint("base_sets_vm_instance_uuid_fkey", "base_sets")
    op.drop_constraint("items_vm", "items")
    op.create_index(
        "items_vm", "items", ["vm_uuid"], unique=True, postgresql_where=sa.text("kind = 'clone'")
    )
    op.create_index(
        "items_operation",
        "items",
        ["vm_uuid"],
        unique=True,
        postgresql_where=sa.text("kind <> 'clone' AND state IN ('Waiting', 'Granted', 'Running')"),
    )
    op.create_index(
        "vm_instances_destroyed",
        "vm_instances",
        ["destroyed_at"],
        postgresql_where=sa.text("state = 'Destroyed'"),
    )


def downgrade() -> None:
    op.drop_index("vm_instances_destroyed", "vm_instances")
    op.drop_index("items_operation", "items")
    op.drop_index("items_vm", "items")
    op.execute("DELETE FROM items WHERE kind <> 'clone'")
    op.create_unique_constraint("items_vm", "items", ["vm_uuid"])
    op.create_foreign_key(
        "base_sets_vm_instance_uuid_fkey",
        "base_sets",
        "vm_instances",
        ["vm_instance_uuid"],
        ["uuid"],
    )
    op.drop_column("vm_instances", "destroyed_at")
    for table in ("items", "jobs"):
        op.drop_column(table, "kind")
    KIND.drop(op.get_bind())
