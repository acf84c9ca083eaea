"""the journal of running sources' snapshots; what moment a job's clones are of

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_snapshots",
        sa.Column("vm_instance_uuid", sa.String(32), primary_key=True),
        sa.Column("base_set_uuid", sa.String(32), sa.ForeignKey("base_sets.uuid"), nullable=False),
        sa.Column("domain_uuid", sa.String(), nullable=False),
        sa.Column("disks", JSONB(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        *(
            sa.Column(name, sa.DateTime(timezone=True))
            for name in ("frozen_at", "paid_at", "not_before", "published_at")
        ),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", JSONB()),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
    )
    op.create_index("ix_source_snapshots_base_set_uuid", "source_snapshots", ["base_set_uuid"])
    op.add_column("jobs", sa.Column("consistency", sa.String()))


def downgrade() -> None:
    op.drop_column("jobs", "consistency")
    op.drop_table("source_snapshots")
