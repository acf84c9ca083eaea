"""The control plane's rate on simulated hosts beside bare Celery no-ops, in one run.

    python -m tests.bench.control_plane [NAMES …]

Both use the same Valkey, the same Celery settings and as many processes; every step of ours is a
durable commit.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from app.cli.client import Client, find_server
from app.embedded.ports import free_port
from app.endpoints import broker_url, endpoints_file
from app.queue import Publisher, make_celery
from app.settings import Settings
from tests.bench.bare_worker import DONE, QUEUE
from tests.bench.rows import Row

INVENTORY = """
zones: [{name: z}]
clusters: [{name: c, zone: z, hypervisorType: Simulator}]
hosts:
%s
primaryStorage: [{name: ps, type: Simulator, url: /simulated, clusters: [c]}]
l3Networks:
  - {name: l3, zone: z, ipRanges: [{startIp: 10.0.0.10, endIp: 10.3.255.250,
     netmask: 255.252.0.0, gateway: 10.0.0.1}]}
vmInstances:
  - {name: golden, cluster: c, host: h0, state: Stopped, cpuNum: 1, memorySize: 128MiB,
     volumes: [{type: Root, primaryStorage: ps, path: /simulated/golden.qcow2, size: 1GiB}],
     nics: [{l3Network: l3}]}
"""
HOST = "  - {name: h%d, cluster: c, managementIp: 127.0.0.1, cpuNum: 9000, memorySize: 99999GiB}"
HOSTS = 4
FASTER_THAN_ZSTACK = 30.0
OF_BARE_CELERY = 0.4
STEADY = 0.9  # the rate of the longest job, of that of the shortest
ZSTACK_RATE = {1000: 1000 / 103, 10_000: 10_000 / (23 * 60)}  # published creates a second
LIMIT_S = 600.0


def inventory_of(hosts: int) -> str:
    return INVENTORY % "\n".join(HOST % number for number in range(hosts))


@contextmanager
def stack(home: Path) -> Iterator[Settings]:
    port = free_port()
    environment = {**os.environ, "VMCLONE_HOME": str(home), "VMCLONE_PORT": str(port)}
    vmclone = [sys.executable, str(Path(sys.executable).with_name("vmclone"))]
    process = subprocess.Popen([*vmclone, "up"], env=environment, stdout=subprocess.DEVNULL)
    try:
        inventory = home / "inventory.yaml"
        while not endpoints_file(home).exists():
            time.sleep(0.1)
        inventory.write_text(inventory_of(HOSTS))
        settings = Settings(home=home, port=port)
        asyncio.run(_wait_until_ready(settings))
        subprocess.run(
            [*vmclone, "inventory", "apply", str(inventory)],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        yield settings
    finally:
        process.terminate()
        process.wait()


async def _wait_until_ready(settings: Settings) -> None:
    async with Client(find_server(settings, {})) as client:
        await client.wait_until_ready(timeout_s=60)


def bare_rate(url: str, names: int, processes: int) -> float:
    """No-ops a second, from the first publish to the last one's end."""
    broker = redis.Redis.from_url(url)
    broker.delete(DONE)
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare_worker", str(processes)],
        env={**os.environ, "BARE_BROKER_URL": url},
    )
    publisher = Publisher(make_celery(url))
    try:
        _publish_bare(publisher, 1)
        _wait_for(broker, 1)  # the worker is up, and the publisher warm
        began_s = time.monotonic()
        _publish_bare(publisher, names)
        _wait_for(broker, names + 1)
        return names / (time.monotonic() - began_s)
    finally:
        worker.terminate()
        worker.wait()


def _publish_bare(publisher: Publisher, number: int) -> None:
    publisher.publish("bare.noop", *map(str, range(number)), queue=QUEUE)  # type: ignore[arg-type]


def _wait_for(broker: redis.Redis, number: int) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while int(broker.get(DONE) or 0) < number:  # type: ignore[arg-type]
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"only {broker.get(DONE)!r} of {number} no-ops ended")
        time.sleep(0.01)


async def clone_rate(settings: Settings, source: str, names: int) -> float:
    """Names a second, from the request to the stored result."""
    async with Client(find_server(settings, {})) as client:
        await client.log_in()
        began_s = time.monotonic()
        job = await client.clone(source, {"names": [f"vm-{n}" for n in range(names)]})
        while (await client.job(job))["state"] != "Finished":
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - began_s
        outcome = (await client.job(job))["outcome"]
        if outcome != "Succeeded":
            raise RuntimeError(f"job {job} ended {outcome}")
        return names / seconds


@dataclass(frozen=True, slots=True)
class Measured:
    names: int
    rate: float  # names a second
    bare_rate: float  # no-ops a second

    @property
    def of_bare(self) -> float:
        return self.rate / self.bare_rate

    @property
    def of_zstack(self) -> float | None:
        published = ZSTACK_RATE.get(self.names)
        return self.rate / published if published else None

    def __str__(self) -> str:
        line = (
            f"{self.names} names: {self.rate:.0f}/s, bare Celery {self.bare_rate:.0f}/s, "
            f"ratio {self.of_bare:.2f}"
        )
        if self.of_zstack is not None:
            line += f", {self.of_zstack:.0f}x ZStack's published creates"
        return line


def measure(sizes: list[int]) -> Iterator[Measured]:
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as settings:
        url = broker_url(settings)
        source = asyncio.run(source_of(settings))
        asyncio.run(clone_rate(settings, source, 50))
        for names in sizes:
            bare = bare_rate(url, names, settings.worker_processes)
            yield Measured(names, asyncio.run(clone_rate(settings, source, names)), bare)


def rows() -> list[Row]:
    small, large = measure([1000, 10_000])
    steady = large.rate / small.rate
    faster = min(each.of_zstack or 0 for each in (small, large))
    of_bare = min(each.of_bare for each in (small, large))
    return [
        Row(
            f"control plane: {faster:.0f}x ZStack's published creates, the rate at 10,000 names "
            f"{steady:.2f} of that at 1,000",
            faster >= FASTER_THAN_ZSTACK and steady >= STEADY,
        ),
        Row(
            f"control plane: {of_bare:.2f} of bare Celery no-ops' rate",
            of_bare >= OF_BARE_CELERY,
        ),
    ]


async def source_of(settings: Settings) -> str:
    async with Client(find_server(settings, {})) as client:
        await client.log_in()
        return await client.vm_uuid("golden")


if __name__ == "__main__":
    for measured in measure([int(argument) for argument in sys.argv[1:]] or [1000]):
        print(measured, flush=True)
