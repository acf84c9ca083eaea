"""when the host of a name that was taken back is looked at again

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("recheck_at", sa.DateTime(timezone=True)))
    op.create_index(
        "items_recheck",
        "items",
        ["recheck_at"],
        postgresql_where=sa.text("recheck_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("items_recheck", "items")
    op.drop_column("items", "recheck_at")
