"""What streams of events read: a job's events in their order, a job's own ones, copies' rates

Revision ID: 0060
Revises: 0071
"""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("items", sa.Column("bytes_per_s", sa.BigInteger()))
    op.drop_index("events_job", "events")
    op.create_index("events_job", "events", ["job_uuid", "xid", "id"])
    op.create_index(
        "events_of_jobs", "events", ["xid"], postgresql_where=sa.text("item_uuid IS NULL")
    )


def downgrade() -> None:
    op.drop_index("events_of_jobs", "events")
    op.drop_index("events_job", "events")
    op.create_index("events_job", "events", ["job_uuid", "id"])
    op.drop_column("items", "bytes_per_s")
