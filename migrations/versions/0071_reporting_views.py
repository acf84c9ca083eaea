"""the views that dashboards read: schema reporting_v1, and the role that may read them

Revision ID: 0071
Revises: 0070

Columns are only ever added to these views, by a later migration; whatever changes or goes makes
another schema beside this one. The role is of the whole server, so a downgrade leaves it.
"""

from alembic import op

from migrations.reporting_v1 import access, history, now, work

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None

VIEWS = (*work.VIEWS, *now.VIEWS, *history.VIEWS)


def upgrade() -> None:
    op.execute("CREATE SCHEMA reporting_v1")
    op.execute(f"COMMENT ON SCHEMA reporting_v1 IS {_quoted(access.SCHEMA_COMMENT)}")
    for view in VIEWS:
        op.execute(f"CREATE VIEW reporting_v1.{view.name} AS {view.select}")
        op.execute(f"COMMENT ON VIEW reporting_v1.{view.name} IS {_quoted(view.comment)}")
        for column, comment in view.columns.items():
            op.execute(f"COMMENT ON COLUMN reporting_v1.{view.name}.{column} IS {_quoted(comment)}")
    op.execute(access.GRANT)


def downgrade() -> None:
    op.execute("DROP SCHEMA reporting_v1 CASCADE")


def _quoted(comment: str) -> str:
    doubled = comment.replace("'", "''").replace(":", "\\:")
    return f"'{doubled}'"
