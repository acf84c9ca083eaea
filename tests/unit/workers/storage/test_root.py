"""The root folder: made once, marked, and never left."""

import errno
import os
from pathlib import Path

import pytest

from app.domain.errors import OperationFailed, StorageUnavailable
from app.domain.plan import StorageRef, StorageType
from tests.factories import new_uuid
from workers.storage import root
from workers.storage.root import FOLDER, MARKER, Root, initialize, rename_new


@pytest.fixture
def ref(tmp_path: Path) -> StorageRef:
    return StorageRef(new_uuid(), StorageType.LOCAL, str(tmp_path / "a" / "ps-1"))


@pytest.fixture(params=["openat2", "name by name"])
def opened(
    request: pytest.FixtureRequest, ref: StorageRef, monkeypatch: pytest.MonkeyPatch
) -> Root:
    """As kernels with and without openat2 open it."""
    initialize(ref)
    if request.param == "name by name":
        monkeypatch.setattr(root, "SYS_OPENAT2", 1_000_000)
    return Root(ref)


def test_initializing_again_changes_nothing(ref: StorageRef) -> None:
    initialize(ref)
    marker = Path(ref.url) / MARKER
    inode = marker.stat().st_ino
    initialize(ref)
    assert marker.read_text() == ref.uuid + "\n"
    assert marker.stat().st_ino == inode
    assert sorted(entry.name for entry in Path(ref.url).iterdir()) == [
        MARKER,
        "dataVolumes",
        "imagecache",
        "rootVolumes",
        "work",
    ]


def test_the_folder_of_another_storage_is_refused_and_stays_its(ref: StorageRef) -> None:
    initialize(ref)
    other = StorageRef(new_uuid(), StorageType.LOCAL, ref.url)
    with pytest.raises(OperationFailed, match=f"already the root of storage {ref.uuid}"):
        initialize(other)
    assert (Path(ref.url) / MARKER).read_text() == ref.uuid + "\n"
    assert not list(Path(ref.url).glob(f"{MARKER}.*"))


def test_a_shared_mount_point_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    ref = StorageRef(new_uuid(), StorageType.SHARED_MOUNT_POINT, str(tmp_path / "nfs"))
    with pytest.raises(StorageUnavailable, match="is it mounted"):
        initialize(ref)
    assert not (tmp_path / "nfs").exists()


def test_a_file_below_is_opened(opened: Root, ref: StorageRef) -> None:
    with opened, opened.opened("work/new", os.O_WRONLY | os.O_CREAT, 0o600) as descriptor:
        os.write(descriptor, b"x")
    assert (Path(ref.url) / "work" / "new").read_bytes() == b"x"


@pytest.mark.parametrize(
    "inside",
    [
        "work/../../outside/precious",  # up and out
        "link/precious",  # through a linked folder
        "work/link",  # a linked file
        "/etc/hostname",  # from elsewhere
        "inner/marker",  # a link that stays inside is a link all the same
    ],
)
def test_nothing_is_reached_around_a_corner(opened: Root, ref: StorageRef, inside: str) -> None:
    folder = Path(ref.url)
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (folder / "link").symlink_to(outside)
    (folder / "work" / "link").symlink_to(outside / "precious")
    (folder / "inner").symlink_to("work")
    (folder / "work" / "marker").touch()
    with opened, pytest.raises(OSError) as refused, opened.opened(inside, os.O_RDONLY):
        pass
    assert refused.value.errno in {errno.ELOOP, errno.EXDEV, errno.ENOTDIR}


def test_publishing_makes_the_folders(opened: Root, ref: StorageRef) -> None:
    (Path(ref.url) / "work" / "part").write_text("whole")
    with opened:
        opened.publish("work/part", "rootVolumes/acct-1/vol-1/1.raw")
    assert (Path(ref.url) / "rootVolumes/acct-1/vol-1/1.raw").read_text() == "whole"
    assert not (Path(ref.url) / "work" / "part").exists()


@pytest.fixture(params=["renameat2", "link"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As local file systems and as NFS rename: the kernel refuses flag 0x80 as NFS refuses all."""
    if request.param == "link":
        monkeypatch.setattr(root, "RENAME_NOREPLACE", 0x80)
    return tmp_path


def test_a_rename_replaces_nothing(folder: Path) -> None:
    (folder / "old").write_text("mine")
    (folder / "taken").write_text("theirs")
    descriptor = os.open(folder, FOLDER)
    try:
        with pytest.raises(FileExistsError):
            rename_new(descriptor, "old", descriptor, "taken")
        assert (folder / "taken").read_text() == "theirs"
        rename_new(descriptor, "old", descriptor, "new")
    finally:
        os.close(descriptor)
    assert sorted(entry.name for entry in folder.iterdir()) == ["new", "taken"]
    assert (folder / "new").read_text() == "mine"


def test_a_root_leaves_no_descriptor_open(opened: Root, ref: StorageRef) -> None:
    before = os.listdir("/proc/self/fd")
    with opened:
        opened.exists("work/absent")
        opened.remove("work/absent")
    (Path(ref.url) / MARKER).unlink()
    with pytest.raises(StorageUnavailable), opened:
        pass
    assert os.listdir("/proc/self/fd") == before
