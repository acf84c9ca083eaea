"""Which worker serves a host."""

import pytest
from sqlalchemy import Connection

from app.store import hosts
from app.store.hosts import HostWorker
from tests.integration.engine.conftest import Faked

MINE = HostWorker("machine", "/home/one/locks", 4)


@pytest.fixture
def host(faked: Faked) -> str:
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = NULL, machine_id = NULL")
    return faked.inventory.hosts[0]


@pytest.mark.parametrize(
    "other",
    [
        HostWorker("another", "/home/one/locks", 4),
        HostWorker("machine", "/home/two/locks", 4),  # its processes would see none of our locks
    ],
)
def test_a_host_that_somebody_serves_is_his(faked: Faked, host: str, other: HostWorker) -> None:
    def served(connection: Connection) -> list[set[str]]:
        return [hosts.beat(connection, [host], worker) for worker in (MINE, MINE, other)]

    assert faked.engine.database.run(served) == [{host}, {host}, set()]


def test_a_home_may_move_once_its_worker_is_gone(faked: Faked, host: str) -> None:
    moved = HostWorker("machine", "/home/two/locks", 4)
    faked.engine.database.run(lambda c: hosts.beat(c, [host], MINE))
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET seen_at = seen_at - interval '61 s'")
    assert faked.engine.database.run(lambda c: hosts.beat(c, [host], moved)) == {host}
    assert faked.engine.database.run(lambda c: hosts.beat(c, [host], MINE)) == set()
