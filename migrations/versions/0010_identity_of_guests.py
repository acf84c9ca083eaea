"""Items whose guests are asked, after their start, who they are

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("identity_due_at", sa.DateTime(timezone=True)))
    op.create_index(
        "items_identity_due",
        "items",
        ["host_uuid", "identity_due_at"],
        postgresql_where=sa.text("identity_due_at IS NOT NULL AND state = 'Succeeded'"),
    )


def downgrade() -> None:
    op.drop_index("items_identity_due", "items")
    op.drop_column("items", "identity_due_at")
