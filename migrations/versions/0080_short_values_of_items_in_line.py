"""only an item's plan lies out of line, and none of its short values

Revision ID: 0080
Revises: 0060
"""

from alembic import op

revision = "0080"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE items SET (toast_tuple_target = 1024)")


def downgrade() -> None:
    op.execute("ALTER TABLE items SET (toast_tuple_target = 256)")
