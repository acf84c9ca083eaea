"""A simulated storage remembers across processes what is on it."""

from pathlib import Path

import pytest

from app.domain.errors import VolumeIOError
from app.domain.plan import BaseFile, CloneMethod, StorageRef, StorageType, VolumeFormat, VolumePlan
from app.settings import Settings
from app.store.leases import LeaseLost
from tests.factories import new_uuid
from tests.storage import Control, Shelf
from workers.storage import open_storage
from workers.storage.base import Storage
from workers.storage.local import LocalStorage

REF = StorageRef(new_uuid(), StorageType.SIMULATOR, "/simulated")


def open_again(home: Path, *, failure_rate: float = 0) -> Storage:
    """As another process would."""
    return open_storage(REF, Settings(home=home, simulator_failure_rate=failure_rate))


def volumes(home: Path) -> set[str]:
    return {file.name for file in (home / "simulator" / REF.uuid / "volumes").glob("*")}


@pytest.fixture
def plan(shelf: Shelf) -> VolumePlan:
    base = BaseFile(new_uuid(), REF, "/simulated/b.qcow2", VolumeFormat.QCOW2, 1 << 30)
    return shelf.plan(base, CloneMethod.LINKED)


def test_a_volume_is_there_once_until_it_is_deleted(tmp_path: Path, plan: VolumePlan) -> None:
    home = tmp_path / "home"
    for _ in range(2):
        facts = open_again(home).clone(plan, Control())
        assert facts.method is CloneMethod.LINKED
        assert volumes(home) == {plan.uuid}
    for _ in range(2):
        open_again(home).delete_volume(plan)
        assert volumes(home) == set()


def test_a_failed_call_leaves_nothing(tmp_path: Path, plan: VolumePlan) -> None:
    with pytest.raises(VolumeIOError, match="simulated failure of clone"):
        open_again(tmp_path / "home", failure_rate=1).clone(plan, Control())
    assert volumes(tmp_path / "home") == set()


def test_a_call_that_must_stop_leaves_nothing(tmp_path: Path, plan: VolumePlan) -> None:
    with pytest.raises(LeaseLost):
        open_again(tmp_path / "home").clone(plan, Control(raises=LeaseLost(), at_checkpoint=2))
    assert volumes(tmp_path / "home") == set()


@pytest.mark.parametrize("kind", [StorageType.LOCAL, StorageType.SHARED_MOUNT_POINT])
def test_folders_are_real_files(tmp_path: Path, kind: StorageType) -> None:
    ref = StorageRef(new_uuid(), kind, str(tmp_path))
    assert isinstance(open_storage(ref, Settings(home=tmp_path)), LocalStorage)
