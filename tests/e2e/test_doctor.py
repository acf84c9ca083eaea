"""`vmclone doctor` as an operator uses it: on a running stack, from another process."""

import json
from pathlib import Path

import pytest

from tests.e2e.stack import Stack
from tests.e2e.test_real_volumes import declare, make_images, stack, storage

__all__ = ["stack", "storage"]  # fixtures
NOBODY = "f" * 32


@pytest.fixture
def mode() -> str:
    return "linked"


def test_the_doctor_finds_and_repairs_on_a_running_stack(stack: Stack, storage: Path) -> None:
    make_images(storage.parent / "images", megabytes=1)
    source = declare(stack, storage).source
    assert stack.wait_for(stack.clone(source, names=["a", "b"]))["outcome"] == "Succeeded"

    healthy = stack.vmclone("doctor")
    assert (healthy.returncode, healthy.stderr) == (0, ""), healthy.stdout
    assert "FAILED" not in healthy.stdout
    clean = stack.vmclone("doctor", "--orphans")
    assert (clean.returncode, clean.stdout) == (0, "0 found, 0 left\n")

    orphan = storage / "imagecache" / f"{NOBODY}.qcow2"
    orphan.write_bytes(b"x")
    found = stack.vmclone("doctor", "--orphans", "--json")
    assert found.returncode == 1
    assert [(f["kind"], f["name"]) for f in json.loads(found.stdout)] == [("orphan", str(orphan))]
    assert orphan.exists()
    repaired = stack.vmclone("doctor", "--orphans", "--repair")
    assert (repaired.returncode, orphan.exists()) == (0, False), repaired.stdout

    (storage / ".vmclone-storage").unlink()
    unseen = stack.vmclone("doctor", "--orphans")
    assert unseen.returncode == 2, unseen.stdout
    ill = stack.vmclone("doctor")
    assert ill.returncode == 1
    assert f"FAILED storage {storage}" in ill.stdout


def test_repair_alone_is_refused(tmp_path: Path, stack: Stack) -> None:
    refused = stack.vmclone("doctor", "--repair")
    assert refused.returncode == 2
    assert "--orphans" in refused.stderr
