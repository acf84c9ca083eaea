"""After a run: what lies on a storage is what the database knows, and nothing is there twice."""

import time
from pathlib import Path

from sqlalchemy import text

from app.store.session import Database

KNOWN = """
SELECT install_path FROM volumes WHERE primary_storage_uuid = :storage AND origin = 'cloned'
UNION ALL
SELECT install_path FROM bases WHERE primary_storage_uuid = :storage
"""
ADDS_UP = """
SELECT 'memory', host_uuid FROM host_capacities h WHERE available_memory <> total_memory
    - COALESCE((SELECT sum(amount) FROM reservations
                WHERE kind = 'Memory' AND resource_uuid = host_uuid), 0)
UNION ALL
SELECT 'storage', primary_storage_uuid FROM storage_capacities WHERE available_bytes <> total_bytes
    - COALESCE((SELECT sum(amount) FROM reservations
                WHERE kind = 'Storage' AND resource_uuid = primary_storage_uuid), 0)
"""


REMOVAL_LIMIT_S = 30.0


def wait_for_removals(database: Database) -> None:
    """Bases that nobody needs any more go a little later than the job that ended with them."""
    deadline_s = time.monotonic() + REMOVAL_LIMIT_S
    while True:
        with database.single() as connection:
            left = connection.scalar(
                text("SELECT count(*) FROM base_sets WHERE state = 'Deleting'")
            )
        if not left:
            return
        assert time.monotonic() < deadline_s, f"{left} base sets are still being removed"
        time.sleep(0.1)


def assert_nothing_left_over(database: Database, storage: str, root: Path) -> None:
    wait_for_removals(database)
    with database.single() as connection:
        known = list(connection.execute(text(KNOWN), {"storage": storage}).scalars())
        assert len(known) == len(set(known))
        found = [str(f) for f in root.rglob("*") if f.is_file() and not f.name.startswith(".")]
        assert sorted(found) == sorted(known)
        assert connection.execute(text(ADDS_UP)).all() == []
        for query in (
            "SELECT mac FROM vm_nics GROUP BY mac HAVING count(*) > 1",
            "SELECT ip FROM used_ips GROUP BY l3_network_uuid, ip HAVING count(*) > 1",
            "SELECT uuid FROM items WHERE state NOT IN ('Succeeded', 'Failed', 'Canceled')",
        ):
            assert connection.execute(text(query)).all() == [], query
