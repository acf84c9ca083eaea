"""A larger root and further data disks, as QEMU sees them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from app.domain.paths import TraceKind
from app.domain.plan import StorageRef, StorageType
from app.store.models import DiskOffering, JobKind
from tests.factories import new_uuid
from tests.integration.real_files import World, real_files
from tests.integration.storage.conftest import Run
from tests.storage import MIB
from workers.storage.qcow2 import L2_COVERS, write_empty

VOLUMES = (
    "SELECT v.* FROM volumes v JOIN items i ON i.vm_uuid = v.vm_instance_uuid "
    "WHERE i.job_uuid = :job ORDER BY i.ordinal, v.device_id"
)


@pytest.fixture(params=[False, True], ids=["raw", "chain"])
def world(database_url: str, tmp_path: Path, request: Any) -> Iterator[World]:
    with real_files(database_url, tmp_path, chain=request.param) as made:
        yield made


@pytest.mark.parametrize("size", [1, 513, L2_COVERS, L2_COVERS + 1, 1 << 50])
def test_an_empty_image_of_any_size_is_clean(
    tmp_path: Path, qemu_img: Run, qemu_io: Run, size: int
) -> None:
    path = tmp_path / "new.qcow2"
    with path.open("w+b") as file:
        write_empty(file.fileno(), size)
    check = json.loads(qemu_img("check", "-f", "qcow2", "--output=json", path))
    assert check["check-errors"] == check.get("leaks", 0) == check.get("corruptions", 0) == 0
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", path))
    assert info["virtual-size"] == -(-size // 512) * 512
    assert "backing-filename" not in info
    qemu_io(path, "qcow2", "read -P 0 0 512", "write -P 7 0 512", "read -P 7 0 512")
    qemu_img("check", "-q", "-f", "qcow2", path)


@pytest.mark.parametrize("mode", ["linked", "full"])
def test_a_root_grows_and_disks_are_added(world: World, qemu_img: Run, mode: str) -> None:
    offering = new_uuid()
    with world.engine.database.engine.begin() as connection:
        connection.execute(
            insert(DiskOffering), {"uuid": offering, "name": "small", "disk_size": 3 * MIB}
        )
    disks = [
        {"boot": True, "size": 9 * MIB, "systemTags": ["of::root"]},
        {"size": 5 * MIB - 1, "name": "logs"},
        {"diskOfferingUuid": offering, "systemTags": ["of::small"]},
    ]
    job = world.clone("a", "b", diskAOs=disks, systemTags=[f"cloneMode::{mode}"])
    world.engine.drain()
    assert world.engine.item_states(job) == ["Succeeded"] * 2
    rows = world.engine.rows(VOLUMES, job=job)
    assert [row.name for row in rows[:4]] == ["ROOT-for-a", "DATA-for-a", "logs", "DATA-for-a-2"]
    assert [row.device_id for row in rows[:4]] == [0, 1, 2, 3]
    assert [row.size for row in rows[:4]] == [9 * MIB, MIB, 5 * MIB, 3 * MIB]
    assert [row.disk_offering_uuid for row in rows[2:4]] == [None, offering]
    for row in rows:
        path = ["-f", row.format, row.install_path]
        assert json.loads(qemu_img("info", "--output=json", *path))["virtual-size"] == row.size
    root, source = rows[0], world.images / "root.raw"
    read = source.with_suffix(".read")
    qemu_img("convert", "-f", root.format, "-O", "raw", root.install_path, read)
    content = read.read_bytes()
    assert content[:MIB] == source.read_bytes()
    assert len(content) == 9 * MIB
    assert not any(content[MIB:])
    tags = {row.tag for row in world.engine.rows("SELECT tag FROM tags")}
    assert {"of::root", "of::small"} <= tags
    world.engine.start(world.removal(job, JobKind.EXPUNGE))
    storage = world.engine.worker.storage(
        StorageRef(world.inventory.storage, StorageType.LOCAL, str(world.storage))
    )
    assert {trace.kind for trace in storage.traces()} <= {TraceKind.BASE, TraceKind.ACCOUNT_FOLDER}


def test_a_root_does_not_shrink(world: World) -> None:
    job = world.clone("a", diskAOs=[{"boot": True, "size": MIB - 512}])
    world.engine.drain()
    error = world.engine.scalar("SELECT error FROM items WHERE job_uuid = :job", job=job)
    assert error["cause"]["code"] == "SYS.1007"
    assert f"a root disk of {MIB - 512} bytes, and the source's has {MIB}" in error["details"]


@pytest.mark.parametrize(
    ("disk", "code", "said"),
    [
        ({"size": 1, "primaryStorageUuid": "c" * 32}, "SYS.1003", "PrimaryStorageVO] not found"),
        ({"diskOfferingUuid": "c" * 32}, "SYS.1003", "type:DiskOfferingVO] not found"),
        ({"boot": True, "platform": "Windows"}, "SYS.1007", "but the source's is Linux"),
        ({"sourceUuid": "c" * 32}, "SYS.1014", "fills no disk from another image"),
    ],
)
def test_what_a_disk_cannot_be_refuses_the_job(
    world: World, disk: dict[str, Any], code: str, said: str
) -> None:
    job = world.clone("a", diskAOs=[disk])
    error = world.engine.scalar("SELECT error FROM jobs WHERE uuid = :job", job=job)
    assert error["code"] == code
    assert said in error["details"]


def test_a_disk_holds_its_share_of_the_storage_until_it_is_gone(world: World) -> None:
    available = "SELECT available_bytes FROM storage_capacities"
    before = world.engine.scalar(available)
    job = world.clone("a", diskAOs=[{"size": 1 << 36}], systemTags=["cloneMode::linked"])
    world.engine.drain()
    assert world.engine.item_states(job) == ["Succeeded"]
    assert before - world.engine.scalar(available) > (1 << 36) // 20
    over = world.clone("b", diskAOs=[{"size": 1 << 50}])
    world.engine.drain()
    error = world.engine.scalar("SELECT error FROM items WHERE job_uuid = :job", job=over)
    assert error["cause"]["code"] == "PS.1000"
