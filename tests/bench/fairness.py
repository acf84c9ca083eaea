"""One account's 10,000 names, and another account's single ones sent while these are made.

    python -m tests.bench.fairness [NAMES [SINGLES]]

Prints how long each single waited from its request until a worker began it.
"""

import asyncio
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, text

from app.cli.client import Client, find_server
from app.endpoints import database_url
from app.settings import Settings
from app.store.models import Account, AccountType
from app.store.session import Database
from tests.bench.control_plane import source_of, stack

SINGLES_EVERY_S = 0.5


def add_account(database: Database, name: str) -> None:
    """An admin beside the first one, with its password, so that it may clone the same source."""
    with database.single() as connection:
        password = connection.scalar(
            text("SELECT password_hash FROM accounts WHERE name = 'admin'")
        )
        connection.execute(
            insert(Account),
            {
                "uuid": uuid4().hex,
                "name": name,
                "type": AccountType.SYSTEM_ADMIN,
                "password_hash": password,
            },
        )


async def run(settings: Settings, source: str, names: int, singles: int) -> list[str]:
    """The singles' jobs, once they have all ended."""
    server = find_server(settings, {})
    async with Client(server) as many, Client(replace(server, user="other")) as few:
        await many.log_in()
        await few.log_in()
        big = await many.clone(source, {"names": [f"vm-{n}" for n in range(names)]})
        jobs = []
        for number in range(singles):
            jobs.append(await few.clone(source, {"names": [f"single-{number}"]}))
            await asyncio.sleep(SINGLES_EVERY_S)
        for job in jobs:
            while (await few.job(job))["state"] != "Finished":
                await asyncio.sleep(0.1)
        left = await many.job(big)
        print(f"{left['total'] - left['succeeded']} of {names} names were still to be made")
        await many.control(big, "cancel")
        return jobs


def waits_s(database: Database, jobs: list[str]) -> list[float]:
    with database.single() as connection:
        return sorted(
            connection.execute(
                text(
                    "SELECT extract(epoch FROM i.started_at - j.created_at)::float "
                    "FROM items i JOIN jobs j ON j.uuid = i.job_uuid WHERE j.uuid = ANY(:jobs)"
                ),
                {"jobs": jobs},
            ).scalars()
        )


def main(names: int = 10_000, singles: int = 10) -> None:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as settings:
        database = Database(database_url(settings))
        add_account(database, "other")
        source = asyncio.run(source_of(settings))
        waits = waits_s(database, asyncio.run(run(settings, source, names, singles)))
        database.close()
    print(
        f"{len(waits)} singles beside {names} names waited "
        f"{statistics.median(waits):.2f} s (median), {waits[-1]:.2f} s (longest)"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
