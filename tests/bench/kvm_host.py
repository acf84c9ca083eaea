"""Clones defined in libvirt, beside what people do by hand, in one run on one host.

    python -m tests.bench.kvm_host [FULL [LINKED]]

FULL clones of a 256 MiB volume (20 where none is given): vmclone, `virt-clone` in a loop, and a
bare loop of the same copies, fsyncs and defines. LINKED clones (100): vmclone and the bare loop.
From the request to the last domain that is defined; no guest is started. Needs root, libvirt, QEMU
and virt-clone (Debian's virtinst).
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from app.cli.client import Client
from tests.bench.rows import Row
from tests.e2e.stack import Stack, running_stack
from tests.kvm.domains import Domain
from tests.kvm.libvirt_host import LibvirtHost, libvirt_host
from tests.kvm.waiting import until

SIZE = 256 << 20
CHUNK = 8 << 20
POLL_S = 0.05
FASTER_THAN_VIRT_CLONE = 5.0
FULL_OF_BARE = 1.25
LINKED_OF_BARE = 2.0
INVENTORY = """
zones: [{{name: z}}]
clusters: [{{name: c, zone: z, hypervisorType: KVM}}]
hosts: [{{name: h, cluster: c, managementIp: 127.0.0.1, cpuNum: 999, memorySize: 999GiB}}]
primaryStorage: [{{name: ps, type: LocalStorage, url: {storage}, clusters: [c]}}]
l3Networks:
  - {{name: l3, zone: z, bridge: br0, ipRanges: [{{startIp: 10.77.0.10, endIp: 10.77.3.250,
     netmask: 255.255.252.0, gateway: 10.77.0.1}}]}}
vmInstances:
  - {{name: golden, cluster: c, host: h, cpuNum: 1, memorySize: 128MiB,
     volumes: [{{type: Root, primaryStorage: ps, path: {image}, format: raw}}],
     nics: [{{l3Network: l3}}]}}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    host: LibvirtHost
    stack: Stack
    folder: Path
    image: Path

    def ours(self, number: int, mode: str) -> float:
        """Seconds from the request to its end."""
        wish = {
            "names": [f"{mode}-{n}" for n in range(number)],
            "strategy": "CreateStopped",
            "systemTags": [f"cloneMode::{mode}"],
        }
        job, took_s = self.stack.ask(lambda client: _clone(client, wish))
        with self.host.connection() as libvirtd:
            defined = len(libvirtd.listAllDomains())
        if defined != number + 1:
            raise RuntimeError(f"{defined - 1} domains are defined, not {number}")
        removal = self.stack.ask(lambda client: client.remove_vms(job))
        self.stack.wait_for(removal)
        return took_s

    def by_virt_clone(self, number: int) -> float:
        def clone(n: int) -> None:
            disk = self.folder / f"virt-clone-{n}.raw"
            self.host.run(
                *("virt-clone", "--connect", "qemu:///system", "--original", "golden"),
                *("--name", f"virt-clone-{n}", "--file", disk, "--quiet"),
                timeout_s=600,
            )

        return self._loop(number, clone)

    def by_hand(self, number: int, suffix: str, make: Callable[[Path], None]) -> float:
        """One after another: the volume, its fsyncs, the domain."""
        with self.host.connection() as libvirtd:

            def clone(n: int) -> None:
                path = self.folder / f"bare-{n}{suffix}"
                make(path)
                mac = f"52:54:00:00:01:{n:02x}"
                libvirtd.defineXML(Domain(f"bare-{n}", "qemu", mac, [path]).xml())

            return self._loop(number, clone)

    def _loop(self, number: int, clone: Callable[[int], None]) -> float:
        began_s = time.monotonic()
        for n in range(number):
            clone(n)
        took_s = time.monotonic() - began_s
        self._clear()
        return took_s

    def _clear(self) -> None:
        with self.host.connection() as libvirtd:
            for domain in libvirtd.listAllDomains():
                if domain.name() != "golden":
                    domain.undefine()
        for path in self.folder.iterdir():
            path.unlink()


async def _clone(client: Client, wish: dict[str, Any]) -> tuple[str, float]:
    """The job, and the seconds until whoever asked knows that it has ended well."""
    source = await client.vm_uuid("golden")
    began_s = time.monotonic()
    job = await client.clone(source, wish)
    while (view := await client.job(job))["state"] != "Finished":
        await asyncio.sleep(POLL_S)
    took_s = time.monotonic() - began_s
    if view["outcome"] != "Succeeded":
        raise RuntimeError(f"job {job} ended {view['outcome']}")
    return job, took_s


def copy(image: Path) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        source = os.open(image, os.O_RDONLY)
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while os.copy_file_range(source, target, CHUNK):
                pass
            os.fsync(target)
        finally:
            os.close(source)
            os.close(target)
        _sync(path.parent)

    return make


def overlay(image: Path) -> Callable[[Path], None]:
    """The same bytes each time: as little as a linked clone can cost."""
    pattern = image.with_suffix(".overlay")
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image), str(pattern)],
        check=True,
    )
    content = pattern.read_bytes()
    pattern.unlink()

    def make(path: Path) -> None:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(target, content)
            os.fsync(target)
        finally:
            os.close(target)
        _sync(path.parent)

    return make


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextmanager
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        image = folder / "golden.raw"
        image.write_bytes(os.urandom(SIZE))
        (folder / "by-hand").mkdir()
        with (
            libvirt_host(folder / "host", "bench", prefix=22) as host,
            running_stack(folder / "home", host.machine) as stack,
        ):
            with host.connection() as libvirtd:
                golden = Domain("golden", "qemu", "52:54:00:00:00:01", [image])
                libvirtd.defineXML(golden.xml())
            declare(stack, folder, image)
            yield Bench(host, stack, folder / "by-hand", image)


def declare(stack: Stack, folder: Path, image: Path) -> None:
    stack.declare(INVENTORY.format(storage=folder / "ps", image=image))
    until(
        lambda: json.loads(stack.vmclone("doctor", "--json").stdout or "[]"),
        "the host is served",
        within_s=60,
    )


def measure(full: int = 20, linked: int = 100) -> Iterator[Row]:
    libvirt.registerErrorHandler(lambda *_: None, None)
    with bench() as run:
        run.ours(2, "full")  # whatever the first one has to wait for
        ours, bare = run.ours(full, "full"), run.by_hand(full, ".raw", copy(run.image))
        by_virt_clone = run.by_virt_clone(full)
        yield Row(
            f"{full} full clones of 256 MiB: {ours:.1f} s, bare loop {bare:.1f} s "
            f"({ours / bare:.2f}x), virt-clone {by_virt_clone:.1f} s "
            f"({by_virt_clone / ours:.1f}x as long)",
            by_virt_clone / ours >= FASTER_THAN_VIRT_CLONE and ours / bare <= FULL_OF_BARE,
        )
        run.ours(2, "linked")
        ours, bare = run.ours(linked, "linked"), run.by_hand(linked, ".qcow2", overlay(run.image))
        yield Row(
            f"{linked} linked clones: {ours:.2f} s, bare loop {bare:.2f} s ({ours / bare:.2f}x)",
            ours / bare <= LINKED_OF_BARE,
        )


if __name__ == "__main__":
    for row in measure(*map(int, sys.argv[1:])):
        print(row, flush=True)
