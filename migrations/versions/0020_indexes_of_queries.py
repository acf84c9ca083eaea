"""What queries begin at: the oldest first, an address, a tag

Revision ID: 0020
Revises: 0010
"""

from alembic import op

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None

AGED = ("vm_instances", "volumes", "vm_nics")


def upgrade() -> None:
    for table in AGED:
        op.create_index(f"{table}_created", table, ["created_at", "uuid"])
    op.create_index("used_ips_ip", "used_ips", ["ip"])
    # By hash: tags are longer than a B-tree's entries may be.
    op.create_index("tags_tag", "tags", ["tag"], postgresql_using="hash")


def downgrade() -> None:
    op.drop_index("tags_tag", "tags")
    op.drop_index("used_ips_ip", "used_ips")
    for table in reversed(AGED):
        op.drop_index(f"{table}_created", table)
