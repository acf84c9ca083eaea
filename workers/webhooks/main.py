"""`vmclone worker --webhooks`: the process that a control worker runs beside its Celery worker."""

import asyncio
import signal
from contextlib import closing

from app.endpoints import database_url
from app.settings import Settings
from app.store.session import Database
from workers.processes import die_with_parent
from workers.webhooks.delivery import Postman


def deliver_webhooks(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises ConfigurationError for a secret that is none."""
    die_with_parent()
    with closing(Database(database_url(settings), application_name="vmclone webhooks")) as database:
        asyncio.run(_run(Postman(settings, database)))


async def _run(postman: Postman) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await postman.run(stopped)
