"""Tags of any length are unique: by digest, since a B-tree's entry holds 2.7 KiB

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("tags_unique", "tags", type_="unique")
    op.create_index(
        "tags_unique", "tags", ["resource_uuid", "kind", sa.text("md5(tag)")], unique=True
    )


def downgrade() -> None:
    op.drop_index("tags_unique", "tags")
    op.create_unique_constraint("tags_unique", "tags", ["resource_uuid", "kind", "tag"])
