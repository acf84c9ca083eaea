from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.engine import Engine, faked_engine
from tests.factories import Inventory, make_inventory, make_job
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.storage import FakeStorage


@dataclass
class Faked:
    """The engine on fakes, with one inventory."""

    engine: Engine
    storage: FakeStorage
    hypervisor: FakeHypervisor
    inventory: Inventory

    def job(self, *names: str, **parameters: Any) -> str:
        with self.engine.database.engine.begin() as connection:
            return make_job(connection, self.inventory.source, names or ("a", "b"), **parameters)

    def nothing_left_of(self, *names: str) -> None:
        """No row, file, domain or reservation of these clones."""
        engine = self.engine
        vms = {
            row.vm_uuid: row.volume_uuids
            for row in engine.rows(
                "SELECT vm_uuid, volume_uuids FROM items WHERE name = ANY(:names)",
                names=list(names),
            )
        }
        volumes = [uuid for uuids in vms.values() for uuid in uuids]
        held = {"held": [*vms, *volumes]}
        assert not self.hypervisor.domains.keys() & vms.keys()
        assert not self.storage.volumes.keys() & set(volumes)
        for query in (
            "SELECT count(*) FROM vm_instances WHERE uuid = ANY(:held)",
            "SELECT count(*) FROM volumes WHERE uuid = ANY(:held)",
            "SELECT count(*) FROM vm_nics WHERE vm_instance_uuid = ANY(:held)",
            "SELECT count(*) FROM reservations WHERE holder_uuid = ANY(:held)",
            "SELECT count(*) FROM tags WHERE resource_uuid = ANY(:held)",
        ):
            assert engine.scalar(query, **held) == 0, query
        self.capacity_adds_up()

    def capacity_adds_up(self) -> None:
        """What is available is the total less what reservations hold."""
        assert (
            self.engine.rows(
                "SELECT * FROM host_capacities h WHERE available_cpu <> total_cpu - COALESCE("
                "(SELECT sum(amount) FROM reservations WHERE kind = 'Cpu' "
                "AND resource_uuid = h.host_uuid), 0) "
                "OR available_memory <> total_memory - COALESCE("
                "(SELECT sum(amount) FROM reservations WHERE kind = 'Memory' "
                "AND resource_uuid = h.host_uuid), 0)"
            )
            == []
        )
        assert (
            self.engine.rows(
                "SELECT * FROM storage_capacities s WHERE available_bytes <> total_bytes - "
                "COALESCE((SELECT sum(amount) FROM reservations WHERE kind = 'Storage' "
                "AND resource_uuid = s.primary_storage_uuid), 0)"
            )
            == []
        )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def make_faked(database_url: str, settings: Settings) -> Iterator[Any]:
    """`make_faked(**inventory)` gives the engine on fakes with that inventory."""
    with faked_engine(database_url, settings) as (engine, storage, hypervisor):

        def make(**inventory: Any) -> Faked:
            with engine.database.engine.begin() as connection:
                made = make_inventory(connection, **inventory)
            return Faked(engine, storage, hypervisor, made)

        yield make


@pytest.fixture
def faked(make_faked: Any) -> Faked:
    made: Faked = make_faked()
    return made
