"""what was counted of ended jobs, names and steps; indexes for looks at the past

Revision ID: 0070
Revises: 0050
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0070"
down_revision = "0050"
branch_labels = None
depends_on = None

HISTORY = (
    ("items_finished", "items", "finished_at"),
    ("steps_finished", "steps", "finished_at"),
    ("jobs_created", "jobs", "created_at"),
)


def upgrade() -> None:
    op.create_table(
        "tally_cursors",
        sa.Column("id", sa.Integer(), primary_key=True),
        _number("xid"),
        _number("event_id"),
        sa.CheckConstraint("id = 1", name="tally_cursors_one"),
    )
    op.execute("INSERT INTO tally_cursors (id, xid, event_id) VALUES (1, 0, 0)")
    op.create_table(
        "totals",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("labels", postgresql.ARRAY(sa.String()), primary_key=True),
        _amount("value"),
    )
    op.create_table(
        "hourly_jobs",
        *_key("hour", "account_uuid", "kind", "outcome"),
        _number("jobs"),
        _amount("wait_s"),
        _amount("run_s"),
    )
    op.create_table(
        "hourly_items",
        *_key("hour", "account_uuid", "kind", "outcome", "method", "error_code", "failed_step"),
        _number("items"),
        _number("copied_bytes"),
        _amount("wait_s"),
        _amount("run_s"),
    )
    op.create_table(
        "hourly_steps",
        *_key("hour", "step", "result", "up_to_s"),
        _number("steps"),
        _amount("duration_s"),
    )
    for name, table, column in HISTORY:
        op.create_index(
            name,
            table,
            [column],
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on", "pages_per_range": "32"},
        )


def downgrade() -> None:
    for name, table, _ in HISTORY:
        op.drop_index(name, table)
    for table in ("hourly_steps", "hourly_items", "hourly_jobs", "totals", "tally_cursors"):
        op.drop_table(table)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _amount(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=False)


_TYPES: dict[str, Any] = {
    "hour": sa.DateTime(timezone=True),
    "account_uuid": sa.String(32),
    "up_to_s": sa.Double(),
}


def _key(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, _TYPES.get(name, sa.String()), primary_key=True) for name in names]
