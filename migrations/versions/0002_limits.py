"""limits, and how many processes serve a host

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCOPE = postgresql.ENUM(
    "host", "primaryStorage", "source", "account", name="limit_scope", create_type=False
)
NAME = postgresql.ENUM(
    "builds", "fullCopies", "bytesPerSecond", name="limit_name", create_type=False
)


def upgrade() -> None:
    for kind in (SCOPE, NAME):
        kind.create(op.get_bind())
    op.create_table(
        "limits",
        sa.Column("scope", SCOPE, nullable=False),
        sa.Column("resource_uuid", sa.String(32), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("value >= 0", name="limits_value"),
        sa.PrimaryKeyConstraint("scope", "resource_uuid", "name"),
    )
    op.add_column("hosts", sa.Column("processes", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("hosts", "processes")
    op.drop_table("limits")
    for kind in (NAME, SCOPE):
        kind.drop(op.get_bind())
