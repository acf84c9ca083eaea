"""Pages of many VMs, over HTTP.

    python -m tests.bench.queries [VMS]

Prints the median and the slowest time of each page, the session's look-up and JSON included.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr
from sqlalchemy import text

from app.api.main import create_app
from app.settings import Settings
from app.store.migrate import migrate
from app.store.session import Database
from tests import servers
from tests.factories import ADMIN, make_inventory
from tests.integration.queries.many import add_vms

PAGES = (
    "vm-instances/00000000000000000000000000000777",
    "vm-instances?q=name=vm-777",
    "vm-instances?q=name~=vm-777%25&limit=50",
    "vm-instances?q=vmNics.ip=10.100.3.9",
    "vm-instances?q=__userTag__=tag-777",
    "vm-instances?limit=50",
    "vm-instances?limit=50&sort=-createDate",
    "vm-instances?limit=50&sort=name",
    "vm-instances?limit=50&replyWithCount=true",
    "vm-instances?limit=50&q=state=Running",
    "vm-instances/nics?q=ip=10.100.3.9",
    "volumes?limit=50",
)
TRIES = 30


def fill(url: str, vms: int) -> None:
    database = Database(url)
    migrate(database.engine)
    with database.engine.begin() as connection:
        add_vms(connection, make_inventory(connection), vms)
        connection.execute(
            text(
                "INSERT INTO sessions (uuid, account_uuid, user_uuid, expires_at) "
                "VALUES ('s', :admin, :admin, clock_timestamp() + interval '1 day')"
            ),
            {"admin": ADMIN},
        )
    with database.single() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    database.close()


async def times_ms(app: web.Application) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {page: [] for page in PAGES}
    async with TestClient(TestServer(app)) as client:
        for _ in range(TRIES):
            for page in PAGES:
                began = time.perf_counter()
                answer = await client.get(f"/v1/{page}", headers={"Authorization": "OAuth s"})
                body = await answer.json()
                times[page].append((time.perf_counter() - began) * 1000)
                assert body["inventories"], page
    return times


def main(vms: int = 100_000) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.postgres(Path(folder) / "postgres") as database_url,
        servers.valkey(Path(folder) / "valkey") as broker_url,
    ):
        fill(database_url, vms)
        settings = Settings(
            home=Path(folder),
            database_url=SecretStr(database_url),
            broker_url=SecretStr(broker_url),
        )
        times = asyncio.run(times_ms(create_app(settings)))
    print(f"{vms} VMs: median and slowest of {TRIES}")
    for page, taken in times.items():
        print(f"{statistics.median(taken):8.1f} ms {max(taken):8.1f} ms  {page}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
