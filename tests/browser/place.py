"""A stack with simulated hosts and something to clone, for browsers."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e.stack import Stack, running_stack

T = TypeVar("T")

# `last` is the end of the small network's range.
INVENTORY = """\
zones: [{{name: zone-1}}]
clusters: [{{name: rack-1, zone: zone-1, hypervisorType: Simulator}}]
hosts:
  - {{name: node-1, cluster: rack-1, managementIp: 127.0.0.1, cpuNum: 4096, memorySize: 64TiB}}
  - {{name: node-2, cluster: rack-1, managementIp: 127.0.0.1, cpuNum: 4096, memorySize: 64TiB}}
primaryStorage:
  - {{name: fast, type: Simulator, url: /simulated/fast, clusters: [rack-1], capacity: 200TiB}}
l3Networks:
  - name: office
    zone: zone-1
    bridge: br-office
    ipRanges:
      - {{startIp: 10.10.0.10, endIp: 10.10.255.250, netmask: 255.255.0.0, gateway: 10.10.0.1}}
  - name: lab
    zone: zone-1
    bridge: br-lab
    ipRanges:
      - {{startIp: 10.30.0.1, endIp: {last}, netmask: 255.255.0.0, gateway: 10.30.255.254}}
  - name: annex
    zone: zone-1
    bridge: br-annex
    ipRanges:
      - {{startIp: 10.40.0.1, endIp: 10.40.0.9, netmask: 255.255.0.0, gateway: 10.40.255.254}}
vmInstances:
  - {{name: annex-template, cluster: rack-1, host: node-1, state: Stopped, cpuNum: 1,
      memorySize: 512MiB,
      volumes: [{{type: Root, primaryStorage: fast, path: /simulated/annex.qcow2, size: 8GiB}}],
      nics: [{{l3Network: annex, ip: 10.40.254.1}}]}}
  - {{name: golden, cluster: rack-1, host: node-1, state: Stopped, cpuNum: 1, memorySize: 1GiB,
      volumes: [{{type: Root, primaryStorage: fast, path: /simulated/golden.qcow2, size: 20GiB}},
                {{type: Data, primaryStorage: fast, path: /simulated/golden-data.raw, format: raw,
                 size: 50GiB}}],
      nics: [{{l3Network: office}}]}}
  - {{name: lab-template, cluster: rack-1, host: node-1, state: Stopped, cpuNum: 1,
      memorySize: 512MiB,
      volumes: [{{type: Root, primaryStorage: fast, path: /simulated/lab.qcow2, size: 8GiB}}],
      nics: [{{l3Network: lab, ip: 10.30.254.1}}]}}
"""


@dataclass
class Place:
    """The stack, asked from another thread: Playwright has the event loop of this one."""

    stack: Stack

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.stack.settings.port}"

    def clone(self, source: str, **parameters: Any) -> str:
        """The uuid of the accepted job."""
        return _apart(lambda: self.stack.clone(source, **parameters))

    def refused(self) -> str:
        """The uuid of a finished job of two names, refused as a whole: its source is unknown."""
        names = {"names": ["never-1", "never-2"]}
        job = _apart(lambda: self.stack.ask(lambda client: client.clone("0" * 32, names)))
        assert self.wait_for(job)["outcome"] == "Failed"
        return job

    def control(self, job: str, verb: str) -> None:
        """cancel, pause or resume."""
        _apart(lambda: self.stack.ask(lambda client: client.control(job, verb)))

    def destroy(self, job: str) -> None:
        """What the job made is destroyed, but kept for a while."""
        removal = _apart(
            lambda: self.stack.ask(lambda client: client.remove_vms(job, expunge=False))
        )
        assert self.wait_for(removal)["outcome"] == "Succeeded"

    def wait_for(self, job: str) -> dict[str, Any]:
        """The finished job."""
        return _apart(lambda: self.stack.wait_for(job))

    @contextmanager
    def slowly(self) -> Iterator[None]:
        """One name at a time on each host, until this is left."""
        hosts = ("node-1", "node-2")
        for host in hosts:
            self._limits("set", "host", host, "builds", "1")
        try:
            yield
        finally:
            for host in hosts:
                self._limits("unset", "host", host, "builds")

    def _limits(self, *words: str) -> None:
        done = self.stack.vmclone("limits", *words)
        assert done.returncode == 0, done.stderr

    def declare(self, *, last_lab_ip: str) -> None:
        """Applied again, it makes the lab's range larger."""
        self.stack.declare(INVENTORY.format(last=last_lab_ip))

    def kill_api(self) -> None:
        """It is started again at once."""
        (pid,) = self.stack.pids("vmclone api")
        os.kill(pid, signal.SIGKILL)


@contextmanager
def browsed_place(home: Path, *, step_s: float = 0.01) -> Iterator[Place]:
    """Each simulated call takes `step_s`. The lab has 199 addresses, the annex 9."""
    with running_stack(home, VMCLONE_SIMULATOR_STEP_S=str(step_s)) as stack:
        place = Place(stack)
        place.declare(last_lab_ip="10.30.0.199")
        yield place


def _apart(work: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
