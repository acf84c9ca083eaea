"""What every program of vmclone's begins with."""

import gc
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings


def collect_rarely() -> None:
    """What is imported stays; to look through it for rubbish is a third of a program's start."""
    gc.set_threshold(10_000)


def read_settings() -> "Settings":
    from app.cli.logs import set_up_logs
    from app.settings import Settings

    settings = Settings()
    set_up_logs(settings)
    return settings


def ready_commands() -> Callable[..., None]:
    """The entry point, with what `vmclone api` and `vmclone worker` need imported: processes that
    are forked from here have it."""
    from app.cli.main import main

    for module in ("app.api.main", "workers.main"):
        importlib.import_module(module)
    return main


def say_stopping() -> None:
    print("stopping: workers hand back what is under way; Ctrl-C again does not wait", flush=True)


def migrate_to_head(url: str) -> None:
    """The database at that URL has this version's tables."""
    from app.store.migrate import migrate
    from app.store.session import Database

    database = Database(url)
    try:
        migrate(database.engine)
    finally:
        database.close()
