from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from app.store.migrate import downgrade, migrate, revision_of
from app.store.models import metadata
from app.store.session import Database


def test_migrations_go_up_down_and_up(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    migrate(database.engine)
    head = revision_of(database.engine)
    downgrade(database.engine)
    with database.engine.connect() as connection:
        left = connection.execute(
            text(
                "SELECT typname FROM pg_type JOIN pg_namespace n ON n.oid = typnamespace "
                "WHERE nspname = 'public' AND typname NOT LIKE '%alembic%'"
            )
        ).scalars()
        assert list(left) == []
    migrate(database.engine)
    assert revision_of(database.engine) == head
    database.close()


def test_models_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_second_migration_changes_nothing(database: Database) -> None:
    before = revision_of(database.engine)
    migrate(database.engine)
    assert revision_of(database.engine) == before
