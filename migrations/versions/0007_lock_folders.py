"""Where a host's worker has its locks: all that touches the host's clones shares them

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("lock_folder", sa.String()))


def downgrade() -> None:
    op.drop_column("hosts", "lock_folder")
