"""Submissions of 1,000 names and polls of a running job, beside a bare aiohttp server that does one
INSERT of the same body or one SELECT, in one run on one database.

    python -m tests.bench.front_door [ROUNDS]

Both are asked in turn by four connections; every worker is stopped meanwhile, so that what was
submitted is not begun on the same cores.
"""

import asyncio
import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from app.cli.client import Client
from app.embedded.ports import free_port
from app.endpoints import database_url
from tests.bench import bare_server
from tests.bench.control_plane import inventory_of
from tests.bench.rows import Row
from tests.e2e.stack import Stack, running_stack

CONNECTIONS = 4
NAMES = 1000
REQUESTS = 400  # a round and side
P99_LIMIT_MS = 20.0
WANTED_RATIO = 0.7
LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    body: bytes | None = None
    session: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    ours: list[float]  # seconds of each request
    ratio: float  # of the rates, the median of the rounds

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.ours, n=100)[98] * 1000


def measure(rounds: int = 7) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        polled, submitted = _requests(stack)
        with _bare(stack) as bare, _stopped(stack.worker_pids()):
            bare_put = replace(submitted, url=bare + bare_server.PUT, session="")
            intake = asyncio.run(_compare(submitted, bare_put, rounds))
            bare_get = replace(polled, url=bare + bare_server.GET)
            poll = asyncio.run(_compare(polled, bare_get, rounds))
    return [
        Row(
            f"intake of {NAMES}-name bodies: {intake.ratio:.2f} of a bare INSERT's rate, "
            f"p99 {intake.p99_ms:.1f} ms at {CONNECTIONS} connections",
            intake.ratio >= WANTED_RATIO and intake.p99_ms < P99_LIMIT_MS,
        ),
        Row(
            f"poll of a running job: {poll.ratio:.2f} of a bare SELECT's rate, "
            f"p99 {poll.p99_ms:.1f} ms",
            poll.ratio >= WANTED_RATIO,
        ),
    ]


def _requests(stack: Stack) -> tuple[Request, Request]:
    """The poll of a job in the middle of its names, and a submission."""
    stack.declare(inventory_of(hosts=1))

    async def begin(client: Client) -> tuple[str, str]:
        source = await client.vm_uuid("golden")
        job = await client.clone(source, {"names": [f"running-{n}" for n in range(10 * NAMES)]})
        deadline_s = time.monotonic() + LIMIT_S
        while not (await client.job(job))["succeeded"]:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"job {job} has made no VM yet")
            await asyncio.sleep(0.05)
        return source, job

    source, job = stack.ask(begin)
    url = f"http://127.0.0.1:{stack.settings.port}/zstack/v1"
    names = ",".join(f'"web-{n:04}"' for n in range(NAMES))
    body = f'{{"cloneVmInstance":{{"names":[{names}],"full":true}}}}'.encode()
    session = asyncio.run(_session(url))
    return (
        Request("GET", f"{url}/api-jobs/{job}"),
        Request("PUT", f"{url}/vm-instances/{source}/actions", body, session),
    )


async def _session(url: str) -> str:
    """Of the embedded stack's admin; nobody logs it out."""
    password = hashlib.sha512(b"password").hexdigest()
    body = {"logInByAccount": {"accountName": "admin", "password": password}}
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{url}/accounts/login", json=body) as answer,
    ):
        return str((await answer.json())["inventory"]["uuid"])


async def _compare(ours: Request, bare: Request, rounds: int) -> Compared:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    taken: list[float] = []
    ratios: list[float] = []
    async with aiohttp.ClientSession(connector=connector) as http:
        for request in (ours, bare):
            await _round(http, request)  # whatever the first ones have to wait for
        for _ in range(rounds):
            our_rate, seconds = await _round(http, ours)
            bare_rate, _ = await _round(http, bare)
            taken += seconds
            ratios.append(our_rate / bare_rate)
    return Compared(taken, statistics.median(ratios))


async def _round(http: aiohttp.ClientSession, request: Request) -> tuple[float, list[float]]:
    """Requests a second, and the seconds of each."""
    seconds: list[float] = []

    async def ask() -> None:
        headers = {"Authorization": f"OAuth {request.session}"} if request.session else {}
        for _ in range(REQUESTS // CONNECTIONS):
            began_s = time.perf_counter()
            async with http.request(
                request.method, request.url, data=request.body, headers=headers
            ) as answer:
                await answer.read()
                if answer.status != 202:
                    raise RuntimeError(f"{request.url}: {answer.status} {await answer.text()}")
            seconds.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return len(seconds) / (time.perf_counter() - began_s), seconds


@contextmanager
def _bare(stack: Stack) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare_server", database_url(stack.settings), str(port)]
    )
    try:
        asyncio.run(_wait_for(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def _wait_for(url: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                await http.get(url + bare_server.GET)
            except aiohttp.ClientConnectionError:
                if time.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(0.05)
            else:
                return


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    for row in measure(*map(int, sys.argv[1:])):
        print(row)
