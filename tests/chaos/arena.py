"""The real stack that is to suffer: `vmclone up`, a second worker beside it, and storages with
real files."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.endpoints import database_url
from app.supervisor import Child, Supervisor
from tests.chaos import injected
from tests.chaos.processes import Aim, command, tree
from tests.chaos.work import Ledger
from tests.e2e.stack import VMCLONE, Stack, running_stack
from tests.machine import PATH
from workers.ops.demo.images import sample, write_qcow2, write_raw

LEASE_S = 3.0
BASE_GRACE_S = 2
PROCESSES = 3
MIB = 1 << 20
TMPFS_BYTES = 320 * MIB
XFS_BYTES = 1500 * MIB
ROOT_BYTES, DATA_BYTES, EXTENT_BYTES = 2 * MIB, MIB + 512, MIB // 8

INVENTORY = """
zones: [{name: z}]
clusters: [{name: c, zone: z, hypervisorType: Simulator}]
hosts: [{name: h, cluster: c, managementIp: 127.0.0.1, cpuNum: 40000, memorySize: 40TiB}]
l3Networks:
  - {name: l3, zone: z, ipRanges: [{startIp: 10.1.0.10, endIp: 10.1.255.250,
     netmask: 255.255.0.0, gateway: 10.1.0.1}]}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A primary storage with a source VM of its own."""

    name: str  # local, xfs or tmpfs
    folder: Path
    modes: tuple[str, ...]  # what cloneMode can be asked for
    uuid: str = ""
    vm_uuid: str = ""

    @property
    def root(self) -> Path:
        return self.folder / "ps"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    def checksums(self) -> dict[str, str]:
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in self.images.iterdir()}


@dataclass
class Arena:
    stack: Stack
    places: tuple[Place, ...]
    checksums: dict[str, dict[str, str]]  # of the sources' files, by place
    ledger: Ledger
    second: Supervisor
    second_child: Child
    control_file: Path
    control: dict[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.stack.settings.home

    def ask_storage(self, **changes: Any) -> None:
        """What files of the storages do from now on; see tests/chaos/injected."""
        self.control |= changes
        part = self.control_file.with_suffix(".part")
        part.write_text(json.dumps(self.control))
        part.rename(self.control_file)

    def keep(self) -> None:
        """The second worker's own supervisor; the first one's is `vmclone up`."""
        self.second.revive()

    def place(self, name: str) -> Place:
        return next(place for place in self.places if place.name == name)

    def worker(self, number: int) -> Aim:
        """All processes of the first (0) or second (1) worker."""
        root = self._root(number)
        return Aim(tree(root) if root else [])

    def agent(self, number: int) -> Aim:
        root = self._root(number)
        return Aim([root] if root else [])

    def _root(self, number: int) -> int | None:
        if number == 0:
            return self._child_of_up("worker")
        process = self.second_child.process
        return process.pid if process else None

    def api(self) -> Aim:
        pid = self._child_of_up("api")
        return Aim([pid] if pid else [])

    def supervisor(self) -> Aim:
        return Aim([self.stack.process.pid])

    def postgres(self) -> Aim:
        return self._by_pid_file(self.home / "postgres" / "postmaster.pid")

    def valkey(self) -> Aim:
        return self._by_pid_file(self.home / "valkey" / "valkey.pid")

    def _by_pid_file(self, file: Path) -> Aim:
        try:
            return Aim([int(file.read_text().split()[0])])
        except (FileNotFoundError, IndexError):
            return Aim([])  # between two lives

    def _child_of_up(self, verb: str) -> int | None:
        return next(
            (
                pid
                for pid in tree(self.stack.process.pid)[1:]
                if command(pid).endswith(f"vmclone {verb}")
            ),
            None,
        )


@contextmanager
def arena(folder: Path) -> Iterator[Arena]:
    """A running stack below this folder; everything is stopped and unmounted afterwards."""
    with ExitStack() as cleanup:
        places = tuple(_places(folder, cleanup))
        for place in places:
            _make_images(place)
        control_file = folder / "control.json"
        paths = [str(Path(injected.__file__).parent), os.environ.get("PYTHONPATH", "")]
        stack = cleanup.enter_context(
            running_stack(
                folder / "home",
                VMCLONE_LEASE_S=str(LEASE_S),
                VMCLONE_BASE_GRACE_S=str(BASE_GRACE_S),
                VMCLONE_WORKER_PROCESSES=str(PROCESSES),
                VMCLONE_SIMULATOR_STEP_S="0.01",
                VMCLONE_THIN_MINIMUM_BYTES=str(MIB),
                VMCLONE_CHAOS_CONTROL=str(control_file),
                PYTHONPATH=os.pathsep.join(filter(None, paths)),
            )
        )
        places = _declare(stack, places)
        child = Child(
            "second worker",
            [*VMCLONE, "worker"],
            env=stack.environment,
            log_file=folder / "home" / "second.log",
        )
        second = Supervisor([], grace_s=60)
        second.add(child)
        cleanup.callback(second.stop)
        ledger = cleanup.enter_context(closing(Ledger(database_url(stack.settings))))
        ready = Arena(
            stack,
            places,
            {place.name: place.checksums() for place in places},
            ledger,
            second,
            child,
            control_file,
        )
        ready.ask_storage(roots=[str(place.root) for place in places])
        yield ready


def _places(folder: Path, cleanup: ExitStack) -> Iterator[Place]:
    yield Place("local", folder, ("linked", "full"))
    if os.geteuid() != 0:
        return
    if _mount(cleanup, folder / "tmpfs", ["-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "chaos"]):
        yield Place("tmpfs", folder / "tmpfs", ("linked", "full"))
    mkfs = shutil.which("mkfs.xfs", path=PATH)
    if mkfs:
        image = folder / "xfs.img"
        with image.open("wb") as stream:
            stream.truncate(XFS_BYTES)
        subprocess.run([mkfs, "-q", "-m", "reflink=1", str(image)], check=True)
        if _mount(cleanup, folder / "xfs", ["-o", "loop", str(image)]):
            yield Place("xfs", folder / "xfs", ("reflink", "linked", "full"))


def _mount(cleanup: ExitStack, target: Path, arguments: list[str]) -> bool:
    target.mkdir(parents=True)
    done = subprocess.run(["mount", *arguments, str(target)], check=False, capture_output=True)
    if done.returncode:
        target.rmdir()
        print(f"not mounted: {done.stderr.decode().strip()}", file=sys.stderr)
        return False
    cleanup.callback(subprocess.run, ["umount", "--lazy", str(target)], check=True)
    return True


def _make_images(place: Place) -> None:
    place.images.mkdir(parents=True)
    root = sample(f"root of {place.name}", ROOT_BYTES, extents=6, extent_bytes=EXTENT_BYTES)
    write_qcow2(place.images / "root.qcow2", ROOT_BYTES, root)
    data = sample(f"data of {place.name}", DATA_BYTES, extents=3, extent_bytes=EXTENT_BYTES)
    write_raw(place.images / "data.raw", DATA_BYTES, data)


def _declare(stack: Stack, places: tuple[Place, ...]) -> tuple[Place, ...]:
    storages = "".join(
        f"  - {{name: {p.name}, type: LocalStorage, url: {p.root}, clusters: [c], "
        f"capacity: 1TiB}}\n"
        for p in places
    )
    vms = "".join(
        f"  - {{name: golden-{p.name}, cluster: c, host: h, state: Stopped, cpuNum: 1, "
        f"memorySize: 128MiB, nics: [{{l3Network: l3}}], "
        f"volumes: [{{type: Root, primaryStorage: {p.name}, path: {p.images}/root.qcow2}}, "
        f"{{type: Data, primaryStorage: {p.name}, path: {p.images}/data.raw, format: raw}}]}}\n"
        for p in places
    )
    uuids = stack.declare(f"{INVENTORY}primaryStorage:\n{storages}vmInstances:\n{vms}")
    return tuple(
        Place(p.name, p.folder, p.modes, uuids[p.name], uuids[f"golden-{p.name}"]) for p in places
    )
