"""Bulk clones of real image files over HTTP, checked with QEMU's own tools."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.audit import assert_nothing_left_over
from tests.e2e.stack import Stack, running_stack
from tests.requirements import require

NAMES = 20
INVENTORY = """
zones: [{{name: z-{own}}}]
clusters: [{{name: c-{own}, zone: z-{own}, hypervisorType: Simulator}}]
hosts: [{{name: h-{own}, cluster: c-{own}, managementIp: 127.0.0.1, cpuNum: 400,
         memorySize: 400GiB}}]
primaryStorage: [{{name: ps-{own}, type: LocalStorage, url: {storage}, clusters: [c-{own}]}}]
l3Networks:
  - {{name: l3-{own}, zone: z-{own}, ipRanges: [{{startIp: 10.1.0.10, endIp: 10.1.0.{last},
     netmask: 255.255.0.0, gateway: 10.1.0.1}}]}}
vmInstances:
  - {{name: golden-{own}, cluster: c-{own}, host: h-{own}, state: Stopped, cpuNum: 1,
     memorySize: 128MiB,
     volumes: [{{type: Root, primaryStorage: ps-{own}, path: {images}/root.qcow2}},
               {{type: Data, primaryStorage: ps-{own}, path: {images}/data.raw, format: raw}}],
     nics: [{{l3Network: l3-{own}, ip: 10.1.0.9}}]}}
"""


def make_images(folder: Path, *, megabytes: int) -> None:
    """A sparse qcow2 root and a raw data volume of no whole number of sectors."""
    folder.mkdir(parents=True)
    raw = folder / "root.raw"
    with raw.open("wb") as stream:
        for block in range(megabytes):
            stream.seek(block * 3 << 20)
            stream.write(hashlib.sha256(str(block).encode()).digest() * (1 << 15))
        stream.truncate(megabytes * 4 << 20)
    subprocess.run(
        ["qemu-img", "convert", "-O", "qcow2", str(raw), str(folder / "root.qcow2")], check=True
    )
    raw.unlink()
    (folder / "data.raw").write_bytes(b"data" * 70_001)


def checksums(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}


@pytest.fixture(params=["linked", "full", "reflink"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def storage(mode: str, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where the clones go: an XFS loop mount where reflinks are asked for."""
    if mode == "reflink":
        return Path(request.getfixturevalue("xfs")) / "ps"
    return tmp_path / "ps"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all: starting it takes longer than most of these tests."""
    require(shutil.which("qemu-img"), "qemu-img (Debian: qemu-utils) checks the clones")
    with running_stack(tmp_path_factory.mktemp("home"), VMCLONE_LEASE_S="3") as running:
        yield running


@dataclass
class Declared:
    own: str  # what the names of its things end with
    storage_uuid: str

    @property
    def source(self) -> str:
        return f"golden-{self.own}"


def declare(stack: Stack, storage: Path, *, last: int = 250) -> Declared:
    """A zone of its own, with one host, one storage and one source."""
    own, images = uuid4().hex[:8], storage.parent / "images"
    declared = stack.declare(INVENTORY.format(own=own, storage=storage, images=images, last=last))
    return Declared(own, declared[f"ps-{own}"])


def qemu_img(*arguments: str) -> None:
    done = subprocess.run(["qemu-img", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"


def test_every_volume_is_whole_and_equal_to_its_source(
    stack: Stack, mode: str, storage: Path
) -> None:
    images = storage.parent / "images"
    make_images(images, megabytes=4)
    before = checksums(images)
    declared = declare(stack, storage)
    job = stack.clone(
        declared.source,
        names=[f"vm-{n}" for n in range(NAMES)],
        full=True,
        systemTags=[f"cloneMode::{mode}"],
    )
    assert stack.wait_for(job)["outcome"] == "Succeeded"
    result = stack.ask(lambda client: client.result(job))
    assert [entry["inventory"]["name"] for entry in result] == [f"vm-{n}" for n in range(NAMES)]
    for entry in result:
        for volume in entry["inventory"]["allVolumes"]:
            path, file_format = volume["installPath"], volume["format"]
            source = "root.qcow2" if volume["type"] == "Root" else "data.raw"
            source_format = source.rpartition(".")[2]
            if file_format == "qcow2":
                qemu_img("check", "-f", "qcow2", path)
            qemu_img("compare", "-f", source_format, "-F", file_format, str(images / source), path)
    items = stack.ask(lambda client: client.items(job))
    assert {item["method"] for item in items} == {mode}
    assert checksums(images) == before
    with stack.database() as database:
        assert_nothing_left_over(database, declared.storage_uuid, storage)


@pytest.mark.parametrize("mode", ["linked"], indirect=True)
def test_one_name_too_many_for_the_range_fails_alone(stack: Stack, storage: Path) -> None:
    make_images(storage.parent / "images", megabytes=1)
    declared = declare(stack, storage, last=14)
    job = stack.clone(declared.source, names=[f"vm-{n}" for n in range(6)], full=True)
    assert stack.wait_for(job)["outcome"] == "PartiallySucceeded"
    entries = stack.ask(lambda client: client.result(job))
    assert ["inventory" in entry for entry in entries] == [True] * 5 + [False]
    assert entries[5]["error"]["cause"]["code"] == "L3.1000"
    with stack.database() as database:
        assert_nothing_left_over(database, declared.storage_uuid, storage)


@pytest.mark.parametrize("mode", ["full"], indirect=True)
def test_killed_workers_leave_no_name_behind_and_make_none_twice(
    stack: Stack, storage: Path
) -> None:
    make_images(storage.parent / "images", megabytes=8)
    declared = declare(stack, storage)
    job = stack.clone(
        declared.source,
        names=[f"vm-{n}" for n in range(40)],
        full=True,
        systemTags=["cloneMode::full"],
    )
    killed = 0
    for part in range(1, 4):
        wait_until_some_are_made(stack, job, 5 * part)
        killed += stack.kill_workers()
    assert killed >= 9
    assert stack.wait_for(job)["outcome"] == "Succeeded"
    entries = stack.ask(lambda client: client.result(job))
    assert len({entry["inventory"]["uuid"] for entry in entries}) == 40
    with stack.database() as database:
        assert_nothing_left_over(database, declared.storage_uuid, storage)


def wait_until_some_are_made(stack: Stack, job: str, number: int) -> None:
    def made() -> int:
        return int(stack.ask(lambda client: client.job(job))["succeeded"])

    deadline_s = time.monotonic() + 60
    while made() < number:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
