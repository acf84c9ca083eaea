"""A KVM host with a whole vmclone on it, for tests that share it."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from app.cli.client import Client
from tests.e2e.stack import JOB_LIMIT_S, Stack, running_stack
from tests.guest.build import MEMORY_MIB
from tests.kvm.libvirt_host import BRIDGE, LibvirtHost, libvirt_host, told_accelerator

LAN, LAN_BRIDGE, LAN_NET = "lan", "virbr1", "10.78.0"  # a network of libvirt's, with DHCP
NO_BRIDGE = "br-gone"
DATA_MARKER = "the golden data"  # in the data volume of `golden`


@dataclass(frozen=True, slots=True)
class Place:
    folder: Path
    host: LibvirtHost
    stack: Stack
    uuids: dict[str, str] = field(default_factory=dict)  # of what was declared, by name
    jobs: list[str] = field(default_factory=list)  # whose clones may still be there

    def declare(self, **sections: Any) -> None:
        """Beside what is declared already."""
        self.uuids.update(self.stack.declare(yaml.safe_dump(sections)))

    def declare_vm(
        self, name: str, root: Path, *data: Path, storage: str = "ps", **more: Any
    ) -> None:
        """Volumes are raw where they are named so, and qcow2 otherwise."""
        volumes = [
            {
                "type": "Data" if number else "Root",
                "primaryStorage": storage,
                "path": str(path),
                "format": "raw" if path.suffix == ".raw" else "qcow2",
            }
            for number, path in enumerate((root, *data))
        ]
        vm = {"name": name, "cluster": "c", "host": "h", "cpuNum": 1} | more
        vm = {"memorySize": f"{MEMORY_MIB}MiB", "nics": [{"l3Network": "l3"}]} | vm
        self.declare(vmInstances=[vm | {"volumes": volumes}])

    def clone(self, source: str, *names: str, mode: str = "linked", **more: Any) -> str:
        """The accepted job."""
        tags = [f"cloneMode::{mode}", *more.pop("systemTags", ())]
        self.jobs.append(self.stack.clone(source, names=names, systemTags=tags, **more))
        return self.jobs[-1]

    def made(self, job: str) -> list[dict[str, Any]]:
        """The VMs of a job whose names all became some, in their order."""
        ended = self.stack.wait_for(job)
        assert ended["outcome"] == "Succeeded", (ended, self.errors(job))
        return [entry["inventory"] for entry in self.stack.ask(lambda c: c.result(job))]

    def errors(self, job: str) -> list[str]:
        """What each name failed of, the causes' words with it."""
        items = self.stack.ask(lambda client: client.items(job))
        return [json.dumps(item["error"]) for item in items if item["error"]]

    def remove(self) -> None:
        """All clones, for good."""
        while self.jobs:
            job = self.jobs.pop()
            if self.stack.wait_for(job)["succeeded"]:
                removal = self.stack.ask(lambda client, job=job: client.remove_vms(job))  # type: ignore[misc]
                assert self.stack.wait_for(removal)["outcome"] == "Succeeded"

    def act(self, vm_uuid: str, action: str, **parameters: Any) -> dict[str, Any]:
        """The VM after one of its actions, or after a DELETE."""

        async def acted(client: Client) -> dict[str, Any]:
            path = f"/zstack/v1/vm-instances/{vm_uuid}"
            if action == "DELETE":
                accepted = await client._call("DELETE", path)
            else:
                accepted = await client._call("PUT", f"{path}/actions", {action: parameters})
            job, answer = str(accepted["location"]).rsplit("/", 1)[-1], accepted
            deadline_s = time.monotonic() + JOB_LIMIT_S
            while "location" in answer:  # it is under way
                assert time.monotonic() < deadline_s, answer
                await asyncio.sleep(0.1)
                answer = await client._call("GET", f"/zstack/v1/api-jobs/{job}")
            return dict(answer.get("inventory", {}))

        return self.stack.ask(acted)

    def run_inside(self, script: str, *arguments: str) -> Any:
        """What a Python script of the worker's kind printed, as JSON."""
        return json.loads(self.stack.python(script, *arguments))

    def domain_xml(self, name: str) -> str:
        with self.host.connection() as libvirtd:
            return str(libvirtd.lookupByName(name).XMLDesc())

    def files(self, storage: str) -> list[str]:
        """All that lies in a storage but its marker."""
        found = (self.folder / storage).rglob("*")
        return sorted(str(f) for f in found if f.is_file() and not f.name.startswith("."))


@contextmanager
def place(folder: Path, storages: Sequence[str] = ("ps",)) -> Iterator[Place]:
    """Storages of these names lie in folders of theirs, which may be there already."""
    with (
        libvirt_host(folder / "host", "host-a") as host,
        running_stack(
            told_accelerator(folder / "home"),
            host.machine,
            VMCLONE_LEASE_S="3",
            VMCLONE_IDENTITY_PORT="80",  # the tiny guest's
        ) as stack,
    ):
        host.add_network(LAN, bridge=LAN_BRIDGE, net=LAN_NET)
        made = Place(folder, host, stack)
        made.declare(
            zones=[{"name": "z"}],
            clusters=[{"name": "c", "zone": "z", "hypervisorType": "KVM"}],
            hosts=[
                {
                    "name": "h",
                    "cluster": "c",
                    "managementIp": "127.0.0.1",
                    "cpuNum": 8,
                    "memorySize": "16GiB",
                }
            ],
            primaryStorage=[
                {"name": name, "type": "LocalStorage", "url": str(folder / name), "clusters": ["c"]}
                for name in storages
            ],
            l3Networks=[
                _network("l3", "10.77.0", bridge=BRIDGE),
                _network("l3-lan", LAN_NET, libvirtNetwork=LAN),
                _network("l3-gone", "10.79.0", bridge=NO_BRIDGE),
            ],
        )
        yield made


def _network(name: str, net: str, **where: str) -> dict[str, Any]:
    addresses = {"startIp": f"{net}.100", "endIp": f"{net}.250"}
    addresses |= {"netmask": "255.255.255.0", "gateway": f"{net}.1"}
    return {"name": name, "zone": "z", "dns": [f"{net}.1"], "ipRanges": [addresses]} | where
