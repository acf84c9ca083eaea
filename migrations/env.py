"""Brings a database to the tables of app.store.models: `vmclone migrate`.

Runs on a connection that the caller hands over in the configuration's attributes. The time limits
keep a migration from queueing behind a long transaction and blocking everybody else.
"""

from alembic import context
from sqlalchemy import Connection, text

from app.store.models import metadata


def run(connection: Connection) -> None:
    connection.execute(text("SET lock_timeout = '10s'"))
    connection.execute(text("SET statement_timeout = '300s'"))
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        # Two starting processes must not migrate at once.
        connection.execute(text("SELECT pg_advisory_xact_lock(7263511)"))
        context.run_migrations()


run(context.config.attributes["connection"])
