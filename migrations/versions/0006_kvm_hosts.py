"""KVM hosts: their domains' templates, libvirt's networks, and what runs there beside clones

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "hosts", sa.Column("foreign_cpu", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "hosts", sa.Column("foreign_memory", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("l3_networks", sa.Column("libvirt_network", sa.String()))
    op.add_column("base_sets", sa.Column("domain_xml", sa.String()))
    op.add_column("base_sets", sa.Column("nvram", sa.LargeBinary()))
    op.add_column("base_sets", sa.Column("domain_digest", sa.String()))


def downgrade() -> None:
    for table, columns in (
        ("base_sets", ("domain_digest", "nvram", "domain_xml")),
        ("l3_networks", ("libvirt_network",)),
        ("hosts", ("foreign_memory", "foreign_cpu")),
    ):
        for column in columns:
            op.drop_column(table, column)
