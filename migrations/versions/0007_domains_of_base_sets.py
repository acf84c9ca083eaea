"""Base sets keep all that their clones' domains are built from and need; hosts say what they run

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NEW = (
    ("base_sets", "live_xml", sa.String()),
    ("base_sets", "tpm_state", sa.LargeBinary()),
    ("base_sets", "seed_target", sa.String()),
    ("base_sets", "notes", postgresql.JSONB()),
    ("base_sets", "needs", postgresql.JSONB()),
    ("hosts", "runs", postgresql.JSONB()),
    ("bases", "source_target", sa.String()),
    ("jobs", "notes", postgresql.JSONB()),
)


def upgrade() -> None:
    for table, column, kind in _NEW:
        op.add_column(table, sa.Column(column, kind))


def downgrade() -> None:
    for table, column, _ in reversed(_NEW):
        op.drop_column(table, column)
