"""the line of items that were granted to a host

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("turn", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "items_granted",
        "items",
        ["host_uuid", "turn", "granted_at"],
        postgresql_where=sa.text("state = 'Granted'"),
    )


def downgrade() -> None:
    op.drop_index("items_granted", "items")
    op.drop_column("items", "turn")
