"""The engine without Celery on a storage with real files, and a source VM to clone."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.domain.plan import StorageRef, StorageType
from app.settings import Settings
from app.store import removals
from app.store.models import JobKind
from tests.engine import Engine
from tests.factories import ADMIN, Inventory, make_inventory, make_job
from tests.storage import MIB
from workers.ops.doctor.findings import Finding
from workers.ops.doctor.orphans import OrphanAudit
from workers.this_machine import machine_id
from workers.watches import StorageWatch


@dataclass
class World:
    engine: Engine
    inventory: Inventory
    images: Path
    storage: Path
    settings: Settings
    database_url: str

    def job(self, *names: str, **parameters: Any) -> str:
        """An accepted one."""
        with self.engine.database.engine.begin() as connection:
            return make_job(connection, self.inventory.source, names, full=True, **parameters)

    def clone(self, *names: str, **parameters: Any) -> str:
        job = self.job(*names, **parameters)
        self.engine.start(job)
        return job

    def removal(self, job: str, kind: JobKind) -> str:
        """An accepted job that removes what `job` made."""
        return self.engine.database.run(
            lambda c: removals.ask(c, removals.made_by(c, job, kind), account_uuid=ADMIN, kind=kind)
        )

    def operation(self, vm: str, kind: JobKind, **parameters: Any) -> str:
        """An accepted job that does something with one VM."""
        with self.engine.database.engine.begin() as connection:
            job = make_job(connection, vm, uuid=vm, **parameters)
            connection.exec_driver_sql("UPDATE jobs SET kind = %s WHERE uuid = %s", (kind, job))
        return job

    def look(self, *, repair: bool = False) -> list[Finding]:
        database = self.engine.database
        return OrphanAudit(database, self.settings, machine_id(), repair=repair).run()

    def plant(self, inside: str, content: bytes = b"x" * 5000) -> Path:
        path = self.storage / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def say(self, statement: str) -> None:
        with self.engine.database.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def another_engine(self) -> Engine:
        """For a process of its own: connections do not survive a fork."""
        hypervisor = self.engine.worker.fake_hypervisor
        engine = Engine(self.database_url, self.settings, hypervisor=hypervisor)
        let_files_rest(engine, self.inventory, self.storage)
        return engine


@contextmanager
def real_files(
    database_url: str, folder: Path, *, chain: bool = False, **settings: Any
) -> Iterator[World]:
    """Below `folder`: the source's images, the home and the storage. The source has a root of one
    MiB, with `chain` an overlay of another, and a raw data volume."""
    storage = folder / "ps"
    root, data = make_images(folder / "images", chain=chain)
    chosen = Settings(home=folder / "home", **settings)
    engine = Engine(database_url, chosen)
    with engine.database.engine.begin() as connection:
        inventory = make_inventory(
            connection,
            storage_type=StorageType.LOCAL,
            storage_url=str(storage),
            root_path=str(root),
            data_path=str(data),
        )
        connection.exec_driver_sql("UPDATE volumes SET format = 'raw' WHERE install_path ~ 'raw$'")
        if chain:
            backing = json.dumps([{"path": str(root.with_name("root.raw")), "format": "raw"}])
            connection.exec_driver_sql(
                "UPDATE volumes SET backing = %s WHERE install_path ~ 'qcow2$'", (backing,)
            )
        connection.exec_driver_sql("UPDATE hosts SET machine_id = %s", (machine_id(),))
        connection.exec_driver_sql(
            "UPDATE primary_storages SET initialized_at = NULL, seen_at = NULL"
        )
    watch = StorageWatch(chosen, engine.database)
    watch.look(inventory.hosts)
    assert watch._thread is not None
    watch._thread.join()
    let_files_rest(engine, inventory, storage)
    yield World(engine, inventory, folder / "images", storage, chosen, database_url)
    engine.database.close()


def make_images(folder: Path, *, chain: bool) -> tuple[Path, Path]:
    folder.mkdir()
    for name in ("root.raw", "data.raw"):
        (folder / name).write_bytes(os.urandom(MIB))
    if not chain:
        return folder / "root.raw", folder / "data.raw"
    overlay = folder / "root.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "root.raw", "-F", "raw", str(overlay)],
        check=True,
    )
    return overlay, folder / "data.raw"


def let_files_rest(engine: Engine, inventory: Inventory, storage: Path) -> None:
    """A file's change time cannot be set, so the cached driver's clock is."""
    ref = StorageRef(inventory.storage, StorageType.LOCAL, str(storage))
    engine.worker.storage(ref)._now_ns = lambda: 2**62  # type: ignore[attr-defined]
