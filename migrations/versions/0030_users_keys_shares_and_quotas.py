"""Users, access keys, shared resources and quotas

Revision ID: 0030
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030"
down_revision = "0020"
branch_labels = None
depends_on = None


def _moments() -> list[sa.Column[object]]:
    return [
        sa.Column(
            name,
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        )
        for name in ("created_at", "last_op_at")
    ]


def _account(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.String(32),
        sa.ForeignKey("accounts.uuid", ondelete="CASCADE"),
        nullable=nullable,
    )


def upgrade() -> None:
    op.execute("ALTER TYPE job_kind ADD VALUE IF NOT EXISTS 'api'")
    op.add_column("jobs", sa.Column("quota_need", postgresql.JSONB()))
    op.add_column("accounts", sa.Column("description", sa.String(2048)))
    op.create_index("sessions_user", "sessions", ["user_uuid"])
    op.create_table(
        "users",
        sa.Column("uuid", sa.String(32), primary_key=True),
        _account("account_uuid"),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048)),
        sa.Column("password_hash", sa.String(), nullable=False),
        *_moments(),
        sa.UniqueConstraint("account_uuid", "name", name="users_name"),
    )
    op.create_table(
        "access_keys",
        sa.Column("uuid", sa.String(32), primary_key=True),
        sa.Column("access_key_id", sa.String(20), nullable=False, unique=True),
        _account("account_uuid"),
        sa.Column("user_uuid", sa.String(32), nullable=False),
        sa.Column("description", sa.String(2048)),
        sa.Column("salt", sa.String(32), nullable=False),
        sa.Column("key_file", sa.String(16), nullable=False),
        *_moments(),
    )
    op.create_index("ix_access_keys_account_uuid", "access_keys", ["account_uuid"])
    op.create_table(
        "shared_resources",
        sa.Column("uuid", sa.String(32), primary_key=True),
        _account("owner_account_uuid"),
        _account("receiver_account_uuid", nullable=True),
        sa.Column("to_public", sa.Boolean(), nullable=False),
        sa.Column("resource_type", sa.String(), nullable=False),
        sa.Column("resource_uuid", sa.String(32), nullable=False),
        *_moments(),
        sa.UniqueConstraint(
            "resource_uuid",
            "receiver_account_uuid",
            name="shared_resources_unique",
            postgresql_nulls_not_distinct=True,
        ),
        sa.CheckConstraint(
            "to_public = (receiver_account_uuid IS NULL)", name="shared_resources_receiver"
        ),
    )
    op.create_index(
        "ix_shared_resources_owner_account_uuid", "shared_resources", ["owner_account_uuid"]
    )
    op.create_index(
        "shared_resources_receiver_account",
        "shared_resources",
        ["receiver_account_uuid", "resource_type"],
    )
    op.create_index(
        "shared_resources_public",
        "shared_resources",
        ["resource_type"],
        postgresql_where=sa.text("to_public"),
    )
    op.create_table(
        "quotas",
        sa.Column("account_uuid", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
        *_moments(),
        sa.CheckConstraint("value >= -1", name="quotas_value"),
    )


def downgrade() -> None:
    op.drop_table("quotas")
    op.drop_table("shared_resources")
    op.drop_table("access_keys")
    op.drop_table("users")
    op.drop_index("sessions_user", "sessions")
    op.drop_column("accounts", "description")
    op.drop_column("jobs", "quota_need")
    # PostgreSQL takes no value out of an enum; without rows that have it nobody meets it.
    op.execute("DELETE FROM jobs WHERE kind::text = 'api'")
