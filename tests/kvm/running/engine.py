"""The engine without Celery on a KVM host, in processes that are the host's: they see its libvirtd,
and the database outside."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from app.store.session import Database
from tests import servers
from tests.engine import Engine
from tests.factories import Inventory, make_inventory, make_job
from tests.integration.child import Child, Say, forked
from tests.kvm.libvirt_host import told_accelerator
from tests.kvm.running.source import Source
from workers.ops.doctor.orphans import OrphanAudit
from workers.this_machine import machine_id
from workers.watches import StorageWatch

EVERY = int(os.environ.get("VMCLONE_CRASH_EVERY", "18"))  # `make deep` takes each
ENDED_WELL = "Finished Succeeded crash []"
WITHIN_S = 120  # where libvirtd was killed a call may wait until keep-alives miss it, 20 s
ROUNDS, ROUND_S = 12, 400  # of passing time, until everything must be at rest
OWED = "SELECT count(*) FROM source_snapshots WHERE paid_at IS NULL"
STATE = "SELECT state FROM jobs WHERE uuid = :u"
_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class KvmWorld:
    source: Source
    settings: Settings
    database_url: str
    inventory: Inventory

    @contextmanager
    def process(self, body: Callable[[Engine, Say], None]) -> Iterator[Child]:
        """One that runs `body` on the host."""

        def inside(say: Say) -> None:
            with _on_host(self.source.host.machine.holder):
                body(Engine(self.database_url, self.settings), say)

        with forked(inside) as child:
            yield child

    def run(self, body: Callable[[Engine, Say], None]) -> str:
        """What it said, once it has ended well."""
        with self.process(body) as child:
            status = child.wait(WITHIN_S)
            said = child.said()
        assert status == 0, said
        return said

    def end(self, job: str) -> str:
        """State and outcome of the job, its consistency, and what doctor found, once another worker
        has brought everything to rest."""

        def settles(engine: Engine, say: Say) -> None:
            engine.start(job)
            for _ in range(ROUNDS):
                engine.sweep()
                engine.pass_time(ROUND_S)
                engine.sweep()
                if not engine.scalar(OWED) and engine.scalar(STATE, u=job) == "Finished":
                    break
            (row,) = engine.rows(
                "SELECT state, outcome, consistency, error FROM jobs WHERE uuid = :u", u=job
            )
            here = engine.scalar("SELECT machine_id FROM hosts")
            found = OrphanAudit(engine.database, self.settings, here, repair=False).run()
            lines = [f.line() for f in found if f.thing != "lock file"]
            said = f"{row.state} {row.outcome} {row.consistency} {lines}"
            owed = engine.rows("SELECT disks, error FROM source_snapshots WHERE paid_at IS NULL")
            say(f"{said}{row.error or ''}{owed or ''}")

        return self.run(settles)

    def job(self, strategy: str = "CreateStopped") -> str:
        """An accepted one, for one clone."""
        with self.database() as database, database.engine.begin() as connection:
            return make_job(
                connection,
                self.inventory.source,
                full=True,
                strategy=strategy,
                systemTags=["cloneMode::linked"],
            )

    @contextmanager
    def database(self) -> Iterator[Database]:
        with closing(Database(self.database_url)) as database:
            yield database


@contextmanager
def kvm_world(source: Source, folder: Path, **settings: object) -> Iterator[KvmWorld]:
    from app.store.migrate import migrate

    chosen = Settings(home=told_accelerator(folder / "home"), **settings)  # type: ignore[arg-type]
    with servers.postgres(folder / "postgres") as url:
        database = Database(url)
        migrate(database.engine)
        inventory = _declare(database, source)
        world = KvmWorld(source, chosen, url, inventory)
        watch = StorageWatch(chosen, database)
        watch.look(inventory.hosts)
        assert watch._thread is not None
        watch._thread.join()
        database.close()
        yield world


def _declare(database: Database, source: Source) -> Inventory:
    from app.domain.plan import StorageType

    files = source.files
    with database.engine.begin() as connection:
        inventory = make_inventory(
            connection,
            storage_type=StorageType.LOCAL,
            storage_url=str(source.storage("ps")),
            root_path=str(files["vda"]),
            data_path=str(files["vdb"]),
        )
        for statement in (
            "UPDATE clusters SET hypervisor_type = 'KVM'",
            "UPDATE vm_instances SET hypervisor_type = 'KVM'",
            "UPDATE l3_networks SET bridge = 'br0'",
            "UPDATE primary_storages SET initialized_at = NULL, seen_at = NULL",
        ):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("UPDATE hosts SET machine_id = %s", (machine_id(),))
    return inventory


@contextmanager
def _on_host(holder: int) -> Iterator[None]:
    """The block runs in a child that is a process of the host, and whose end is this one's, too.
    Only its network is this machine's, where the database is."""
    for name, kind in (("pid_for_children", _CLONE_NEWPID), ("mnt", _CLONE_NEWNS)):
        with open(f"/proc/{holder}/ns/{name}", "rb") as namespace:
            if _libc.setns(namespace.fileno(), kind) != 0:
                raise OSError(ctypes.get_errno(), "setns")
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            os.kill(os.getpid(), os.WTERMSIG(status))
        os._exit(os.WEXITSTATUS(status))
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir("/")
    yield
