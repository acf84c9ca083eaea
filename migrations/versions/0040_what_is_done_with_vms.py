"""jobs that start, stop, reboot, recover and update VMs; long jobs

Revision ID: 0040
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0040"
down_revision = "0030"
branch_labels = None
depends_on = None

NEW_KINDS = ("start", "stop", "reboot", "recover", "update")
OLD_KINDS = "'clone', 'destroy', 'expunge', 'api'"
OLD_STEPS = (
    "'allocate_host', 'copy_root_volume', 'copy_data_volumes', 'attach_nics', 'customize_guest', "
    "'define_vm', 'start_vm'"
)
OPERATING = "state IN ('Waiting', 'Granted', 'Running', 'RollingBack', 'Stranded')"


def upgrade() -> None:
    for kind in NEW_KINDS:
        op.execute(f"ALTER TYPE job_kind ADD VALUE '{kind}'")
    op.execute("ALTER TYPE step_name ADD VALUE 'stop_vm' BEFORE 'allocate_host'")
    op.add_column("vm_instances", sa.Column("blueprint", postgresql.JSONB(none_as_null=True)))
    op.drop_index("items_operation", "items")
    _index_operations(OPERATING)
    op.create_table(
        "long_jobs",
        sa.Column("uuid", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String()),
        sa.Column("job_name", sa.String(), nullable=False),
        sa.Column("job_data", sa.String(), nullable=False),
        sa.Column("target_resource_uuid", sa.String()),
        sa.Column("account_uuid", sa.String(32), nullable=False),
        sa.Column("job_uuid", sa.String(32), sa.ForeignKey("jobs.uuid", ondelete="SET NULL")),
        _moment("created_at"),
        _moment("last_op_at"),
    )
    op.create_index("long_jobs_account", "long_jobs", ["account_uuid", "created_at"])
    op.create_index("ix_long_jobs_job_uuid", "long_jobs", ["job_uuid"])


def downgrade() -> None:
    op.drop_table("long_jobs")
    op.drop_index("items_operation", "items")
    op.drop_index("items_vm", "items")
    op.drop_column("vm_instances", "blueprint")
    op.execute(f"DELETE FROM jobs WHERE kind::text NOT IN ({OLD_KINDS})")  # noqa: S608
    op.execute("DELETE FROM steps WHERE name::text = 'stop_vm'")
    op.execute("UPDATE items SET step = NULL WHERE step::text = 'stop_vm'")
    for table in ("jobs", "items"):
        op.execute(f"ALTER TABLE {table} ALTER kind DROP DEFAULT")
    _narrow("job_kind", OLD_KINDS, (("jobs", "kind"), ("items", "kind")))
    for table in ("jobs", "items"):
        op.execute(f"ALTER TABLE {table} ALTER kind SET DEFAULT 'clone'")
    _narrow("step_name", OLD_STEPS, (("items", "step"), ("steps", "name")))
    op.create_index(
        "items_vm", "items", ["vm_uuid"], unique=True, postgresql_where=sa.text("kind = 'clone'")
    )
    _index_operations("state IN ('Waiting', 'Granted', 'Running')")


def _index_operations(states: str) -> None:
    op.create_index(
        "items_operation",
        "items",
        ["vm_uuid"],
        unique=True,
        postgresql_where=sa.text(f"kind <> 'clone' AND {states}"),
    )


def _narrow(name: str, values: str, columns: tuple[tuple[str, str], ...]) -> None:
    op.execute(f"ALTER TYPE {name} RENAME TO {name}_wide")
    op.execute(f"CREATE TYPE {name} AS ENUM ({values})")
    for table, column in columns:
        op.execute(f"ALTER TABLE {table} ALTER {column} TYPE {name} USING {column}::text::{name}")
    op.execute(f"DROP TYPE {name}_wide")


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        nullable=False,
        server_default=sa.text("clock_timestamp()"),
    )
