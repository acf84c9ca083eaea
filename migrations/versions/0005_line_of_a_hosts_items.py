"""the line of items that were granted to a host; an item's steps and end write less

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
    op.add_column("items", sa.Column("turn", sa.Double(), server_default="0", nullable=False))
    op.create_index(
        "items_granted",
        "items",
        ["host_uuid", "turn", "granted_at"],
        postgresql_where=sa.text("state = 'Granted'"),
    )
    op.drop_constraint("steps_item_uuid_fkey", "steps", type_="foreignkey")
    _index_destroyed("destroyed_at IS NOT NULL")


def _index_destroyed(where: str) -> None:
    op.drop_index("vm_instances_destroyed", "vm_instances")
    op.create_index(
        "vm_instances_destroyed",
        "vm_instances",
        ["destroyed_at"],
        postgresql_where=sa.text(where),
    )


def downgrade() -> None:
    _index_destroyed("state = 'Destroyed'")
    op.create_foreign_key(
        "steps_item_uuid_fkey", "steps", "items", ["item_uuid"], ["uuid"], ondelete="CASCADE"
    )
    op.drop_index("items_granted", "items")
    op.drop_column("items", "turn")
