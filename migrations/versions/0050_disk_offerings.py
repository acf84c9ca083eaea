"""Disk offerings: sizes of further data disks by name

Revision ID: 0050
Revises: 0040
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0050"
down_revision = "0040"
branch_labels = None
depends_on = None

_CLOCK = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "disk_offerings",
        sa.Column("uuid", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("description", sa.String()),
        sa.Column("disk_size", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            postgresql.ENUM("Enabled", "Disabled", name="resource_state", create_type=False),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_CLOCK, nullable=False),
        sa.Column("last_op_at", sa.DateTime(timezone=True), server_default=_CLOCK, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("disk_offerings")
