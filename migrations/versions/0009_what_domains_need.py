"""Base sets keep what their clones' domains need of a host; hosts say what they run

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("base_sets", sa.Column("needs", postgresql.JSONB()))
    op.add_column("hosts", sa.Column("runs", postgresql.JSONB()))


def downgrade() -> None:
    op.drop_column("hosts", "runs")
    op.drop_column("base_sets", "needs")
