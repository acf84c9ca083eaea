"""A whole vmclone on this machine for one test: `vmclone up` with a home and a port of its own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from app.cli.client import Client, find_server
from app.embedded.ports import free_port
from app.endpoints import database_url
from app.settings import Settings
from app.store.session import Database
from workers.ops.inventory.commands import apply

VMCLONE = [sys.executable, str(Path(sys.executable).with_name("vmclone"))]
READY_LIMIT_S = 60
JOB_LIMIT_S = 120.0

T = TypeVar("T")


class Place(Protocol):
    """Where a stack runs: this machine, or one within it."""

    def command(self, *words: str) -> list[str]: ...

    def network(self) -> AbstractContextManager[None]: ...


class Here:
    def command(self, *words: str) -> list[str]:
        return list(words)

    def network(self) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass
class Stack:
    settings: Settings
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    place: Place

    def vmclone(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.place.command(*VMCLONE, *arguments),
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )

    def python(self, script: str, *arguments: str) -> str:
        """What a script printed that runs as the stack's own processes do."""
        done = subprocess.run(
            self.place.command(sys.executable, "-c", script, *arguments),
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        async def asked() -> T:
            async with Client(find_server(self.settings, {})) as client:
                await client.log_in()
                return await question(client)

        with self.place.network():
            return asyncio.run(asked())

    def wait_until_ready(self) -> None:
        async def wait() -> None:
            async with Client(find_server(self.settings, {})) as client:
                await client.wait_until_ready(timeout_s=READY_LIMIT_S)

        with self.place.network():
            asyncio.run(wait())

    def clone(self, source: str, **parameters: Any) -> str:
        """The uuid of the accepted job."""

        async def submit(client: Client) -> str:
            return await client.clone(await client.vm_uuid(source), parameters)

        return self.ask(submit)

    def wait_for(self, job: str) -> dict[str, Any]:
        """The finished job."""

        async def wait(client: Client) -> dict[str, Any]:
            deadline_s = time.monotonic() + JOB_LIMIT_S
            while (view := await client.job(job))["state"] != "Finished":
                assert time.monotonic() < deadline_s, view
                await asyncio.sleep(0.1)
            return view

        return self.ask(wait)

    def worker_pids(self) -> list[int]:
        return self.pids("vmclone worker")

    def pids(self, shows: str) -> list[int]:
        """Every process of this stack that shows as that, more words or none behind it."""
        ours = processes_of(self.settings.home).items()
        return [pid for pid, command in ours if f"{shows} " in command]

    def kill_workers(self) -> int:
        """SIGKILL to all of them at once; how many there were."""
        pids = self.worker_pids()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return len(pids)

    def declare(self, document: str) -> dict[str, str]:
        """What is in the inventory by that YAML, by name: its uuids."""
        file = self.settings.home / "inventory.yaml"
        file.write_text(document)
        with self.database() as database:
            applied = apply(database, self.settings, file)
        return {name: uuid for _, name, uuid in applied.entries}

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Whatever is opened meanwhile is opened where the stack runs."""
        with self.place.network(), closing(Database(database_url(self.settings))) as database:
            yield database


def processes_of(home: Path) -> dict[int, str]:
    """Every process that was started for this home, by pid."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"VMCLONE_HOME={home}".encode() in environment and command:
            found[int(folder.name)] = command
    return found


@contextmanager
def running_stack(home: Path, place: Place | None = None, **variables: str) -> Iterator[Stack]:
    place = place or Here()
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {**os.environ, "VMCLONE_HOME": str(home), "VMCLONE_PORT": str(port)}
    environment |= variables
    with (home / "up.log").open("wb") as log:
        process = subprocess.Popen(
            place.command(*VMCLONE, "up"), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        stack = Stack(Settings(home=home, port=port), environment, process, place)
        try:
            stack.wait_until_ready()
            yield stack
        finally:
            process.terminate()
            process.wait(timeout=90)
