"""What lies in the folder after each call, each crash and each stop."""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import (
    CloneError,
    OperationCanceled,
    OperationFailed,
    SourceVolumeBusy,
    SourceVolumeInvalid,
    SourceVolumeMissing,
    StorageUnavailable,
)
from app.domain.plan import CloneMethod, SourceVolume, VolumeFormat
from app.store.leases import LeaseLost
from tests.storage import MIB, Control, Shelf, base_of, read_volume
from workers.lease import Draining
from workers.ops.demo.images import Content, write_qcow2, write_raw
from workers.storage import local, root
from workers.storage.local import LocalStorage
from workers.storage.reader import open_image

FULL, LINKED, REFLINK = CloneMethod.FULL, CloneMethod.LINKED, CloneMethod.REFLINK


def source_bytes(source: SourceVolume) -> bytes:
    with open_image(source.path, source.format, source.backing) as image:
        return image.read(0, image.virtual_size)


@pytest.mark.parametrize("method", [LINKED, FULL])
def test_a_clone_reads_as_its_source(
    shelf: Shelf, source: SourceVolume, method: CloneMethod
) -> None:
    plan = shelf.plan(shelf.made_base(source), method)
    facts = shelf.driver.clone(plan, Control())
    assert facts.method is method
    assert facts.format is plan.format
    assert read_volume(plan) == source_bytes(source)


def test_the_base_is_a_copy_that_nobody_may_write(shelf: Shelf, source: SourceVolume) -> None:
    base = shelf.made_base(source)
    status = os.stat(base.path)
    assert stat.S_IMODE(status.st_mode) == 0o440
    assert status.st_ino != os.stat(source.path).st_ino
    assert Path(base.path).read_bytes() == Path(source.path).read_bytes()


def test_holes_stay_holes_in_base_and_full_clone(shelf: Shelf, source: SourceVolume) -> None:
    base = shelf.made_base(source)
    plan = shelf.plan(base, FULL)
    facts = shelf.driver.clone(plan, Control())
    source_blocks = os.stat(source.path).st_blocks
    assert os.stat(base.path).st_blocks <= source_blocks
    assert os.stat(plan.path).st_blocks <= source_blocks
    assert facts.actual_size == os.stat(plan.path).st_blocks * 512


@pytest.mark.parametrize("method", [LINKED, FULL])
def test_second_run_finds_the_first_volume(
    shelf: Shelf, source: SourceVolume, method: CloneMethod
) -> None:
    plan = shelf.plan(shelf.made_base(source), method)
    first = shelf.driver.clone(plan, Control())
    inode = os.stat(plan.path).st_ino
    assert shelf.driver.clone(plan, Control()) == first
    assert os.stat(plan.path).st_ino == inode


def test_what_a_dead_run_left_is_removed(shelf: Shelf, source: SourceVolume) -> None:
    base = shelf.made_base(source)
    plan = shelf.plan(base, FULL)
    (shelf.folder / "work" / f"{plan.uuid}.part").write_bytes(b"half of an earlier try" * 10**6)
    shelf.driver.clone(plan, Control())
    assert read_volume(plan) == source_bytes(source)
    assert shelf.files() == {shelf.inside(base.path), shelf.inside(plan.path)}


@pytest.mark.parametrize("at_checkpoint", [1, 2, 3])
def test_cancelling_a_copy_leaves_nothing(
    shelf: Shelf, source: SourceVolume, at_checkpoint: int
) -> None:
    base = shelf.made_base(source)
    plan = shelf.plan(base, FULL)
    control = Control(raises=OperationCanceled(), at_checkpoint=at_checkpoint)
    with pytest.raises(OperationCanceled):
        shelf.driver.clone(plan, control)
    assert shelf.files() == {shelf.inside(base.path)}


def test_cancelling_a_base_leaves_nothing(shelf: Shelf, source: SourceVolume) -> None:
    with pytest.raises(OperationCanceled):
        shelf.driver.make_base(
            source, shelf.base(source), Control(raises=OperationCanceled(), at_checkpoint=2)
        )
    assert shelf.files() == set()


@pytest.mark.parametrize("stop", [LeaseLost(), Draining()])
def test_who_lost_the_lease_leaves_the_part_alone(
    shelf: Shelf, source: SourceVolume, stop: Exception
) -> None:
    base = shelf.made_base(source)
    plan = shelf.plan(base, FULL)
    with pytest.raises(type(stop)):
        shelf.driver.clone(plan, Control(raises=stop, at_checkpoint=2))
    assert shelf.files() == {shelf.inside(base.path), f"work/{plan.uuid}.part"}


def test_the_next_owners_part_is_not_touched_by_the_last_one(
    shelf: Shelf, source: SourceVolume
) -> None:
    plan = shelf.plan(shelf.made_base(source), FULL)
    part = shelf.folder / "work" / f"{plan.uuid}.part"

    def taken_over() -> None:
        if part.exists():
            part.unlink()
            part.write_text("the next owner's")

    control = Control(raises=LeaseLost(), at_checkpoint=2, meanwhile=taken_over)
    with pytest.raises(LeaseLost):
        shelf.driver.clone(plan, control)
    assert part.read_text() == "the next owner's"


@pytest.mark.parametrize("method", [LINKED, FULL])
def test_deleting_a_volume_leaves_neither_file_nor_folder(
    shelf: Shelf, source: SourceVolume, method: CloneMethod
) -> None:
    base = shelf.made_base(source)
    plan = shelf.plan(base, method)
    shelf.driver.clone(plan, Control())
    (shelf.folder / "work" / f"{plan.uuid}.part").touch()
    for _ in range(2):
        shelf.driver.delete_volume(plan)
        assert shelf.files() == {shelf.inside(base.path)}
        assert not Path(plan.path).parent.exists()


def test_deleting_a_base_leaves_nothing_twice(shelf: Shelf, source: SourceVolume) -> None:
    base = shelf.made_base(source)
    for _ in range(2):
        shelf.driver.delete_base(base)
        assert shelf.files() == set()


def test_deleting_what_never_was_is_done(shelf: Shelf, source: SourceVolume) -> None:
    base = shelf.base(source)
    shelf.driver.delete_volume(shelf.plan(base, FULL))
    shelf.driver.delete_base(base)
    assert shelf.files() == set()


@pytest.mark.parametrize("marker", [None, "another", ""])
def test_without_its_marker_nothing_is_written_and_nothing_counts_as_absent(
    shelf: Shelf, source: SourceVolume, marker: str | None
) -> None:
    base = shelf.made_base(source)
    plan = shelf.plan(base, LINKED)
    shelf.driver.clone(plan, Control())
    file = shelf.folder / ".vmclone-storage"
    file.unlink()
    if marker is not None:
        file.write_text(marker)
    before = shelf.files()
    driver, other = shelf.driver, shelf.plan(base, FULL)
    for call in (
        lambda: driver.delete_volume(plan),
        lambda: driver.delete_base(base),
        lambda: driver.clone(other, Control()),
        lambda: driver.make_base(source, shelf.base(source), Control()),
        driver.facts,
    ):
        with pytest.raises(StorageUnavailable, match="is it mounted on this host"):
            call()
    assert shelf.files() == before


@pytest.mark.parametrize("link", ["acct", "vol", "work", "file"])
def test_no_link_is_followed(shelf: Shelf, source: SourceVolume, tmp_path: Path, link: str) -> None:
    base = shelf.made_base(source)
    plan = shelf.plan(base, FULL)
    outside = tmp_path / "outside"
    outside.mkdir()
    final = Path(plan.path)
    if link == "work":
        (shelf.folder / "work").rmdir()
    place = {
        "acct": final.parent.parent,
        "vol": final.parent,
        "work": shelf.folder / "work",
        "file": final,
    }[link]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(outside / "precious" if link == "file" else outside)
    with pytest.raises(OperationFailed, match=r"link is in the way|not a regular file"):
        shelf.driver.clone(plan, Control())
    assert list(outside.iterdir()) == []


def test_deleting_never_leaves_the_root_through_a_link(
    shelf: Shelf, source: SourceVolume, tmp_path: Path
) -> None:
    plan = shelf.plan(shelf.base(source), FULL)
    outside = tmp_path / "outside"
    outside.mkdir()
    precious = outside / Path(plan.path).name
    precious.touch()
    folder = Path(plan.path).parent
    folder.parent.mkdir(parents=True)
    folder.symlink_to(outside)
    with pytest.raises(OperationFailed, match="link is in the way"):
        shelf.driver.delete_volume(plan)
    assert precious.exists()


def test_a_path_outside_of_the_root_is_refused(shelf: Shelf, source: SourceVolume) -> None:
    base = shelf.base(source)
    with pytest.raises(OperationFailed, match="not below primary storage"):
        shelf.driver.delete_base(replace(base, path=f"{shelf.folder}/../x.raw"))


def test_a_linked_clone_may_be_larger_than_its_base(shelf: Shelf, source: SourceVolume) -> None:
    plan = shelf.plan(shelf.made_base(source), LINKED, size=20 * MIB)
    shelf.driver.clone(plan, Control())
    assert read_volume(plan) == source_bytes(source).ljust(20 * MIB, b"\0")


def test_a_full_raw_clone_may_be_larger_than_its_base(
    shelf: Shelf, tmp_path: Path, content: Content
) -> None:
    write_raw(tmp_path / "golden.raw", 8 * MIB, content)
    source = shelf.source(tmp_path / "golden.raw", VolumeFormat.RAW)
    plan = shelf.plan(shelf.made_base(source), FULL, size=20 * MIB)
    shelf.driver.clone(plan, Control())
    assert read_volume(plan) == source_bytes(source).ljust(20 * MIB, b"\0")


def test_a_base_that_is_handed_over_becomes_the_volume_itself(
    shelf: Shelf, source: SourceVolume
) -> None:
    plan = shelf.plan(shelf.made_base(source), FULL)
    inode = os.stat(base_of(plan).path).st_ino
    for _ in range(2):
        facts = shelf.driver.hand_over(plan, Control())
        assert facts.method is FULL
        assert shelf.files() == {shelf.inside(plan.path)}
        status = os.stat(plan.path)
        assert status.st_ino == inode
        assert stat.S_IMODE(status.st_mode) == 0o600
    assert read_volume(plan) == source_bytes(source)


@pytest.mark.parametrize("make", ["hand_over", "clone"])
def test_the_part_that_a_killed_copy_left_goes_however_the_volume_is_made_in_the_end(
    shelf: Shelf, source: SourceVolume, make: str
) -> None:
    plan = shelf.plan(shelf.made_base(source), FULL)
    if make == "clone":
        shelf.driver.clone(plan, Control())
    part = shelf.folder / "work" / f"{plan.uuid}.part"
    part.write_bytes(b"half a copy")
    getattr(shelf.driver, make)(plan, Control())
    assert not part.exists()
    assert read_volume(plan) == source_bytes(source)


@pytest.mark.parametrize("stop", [LeaseLost(), OperationCanceled()])
def test_a_hand_over_that_must_stop_leaves_the_base(
    shelf: Shelf, source: SourceVolume, stop: Exception
) -> None:
    plan = shelf.plan(shelf.made_base(source), FULL)
    with pytest.raises(type(stop)):
        shelf.driver.hand_over(plan, Control(raises=stop))
    assert shelf.files() == {shelf.inside(base_of(plan).path)}
    assert stat.S_IMODE(os.stat(base_of(plan).path).st_mode) == 0o440


class Killed(BaseException):
    """What a SIGKILL looks like: nothing after it runs."""


def test_a_worker_killed_while_it_tries_reflinks_leaves_no_file(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(root.Root, "remove", killed)
    with suppress(Killed):
        LocalStorage(shelf.ref).facts()
    assert list((shelf.folder / "work").iterdir()) == []


def test_where_no_nameless_files_are_made_the_next_probe_takes_what_one_left(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = root.Root.opened

    def like_nfs(self: root.Root, inside: str, flags: int, mode: int = 0) -> object:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE")
        return opened(self, inside, flags, mode)

    shelf.driver.facts()
    (shelf.folder / "work" / "reflink-probe-source").write_bytes(b"left")
    monkeypatch.setattr(root.Root, "opened", like_nfs)
    assert LocalStorage(shelf.ref).facts().total_bytes > 0
    assert list((shelf.folder / "work").iterdir()) == []


def test_a_reflink_that_was_asked_for_is_no_other_method(
    shelf: Shelf, source: SourceVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "reflink", lambda *_: False)
    base = shelf.made_base(source)
    with pytest.raises(OperationFailed, match="choose cloneMode::linked"):
        shelf.driver.clone(shelf.plan(base, REFLINK), Control())
    assert shelf.files() == {shelf.inside(base.path)}


def test_a_chosen_reflink_that_fails_becomes_what_fits_its_name(
    shelf: Shelf, source: SourceVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "reflink", lambda *_: False)
    plan = shelf.plan(shelf.made_base(source), REFLINK, fallback=True)
    facts = shelf.driver.clone(plan, Control())
    expected = {VolumeFormat.QCOW2: LINKED, VolumeFormat.RAW: FULL}[source.format]
    assert facts.method is expected
    assert facts.format is source.format
    assert read_volume(replace(plan, method=expected)) == source_bytes(source)


def test_a_base_left_by_an_earlier_try_is_not_taken_for_the_source_as_it_is_now(
    shelf: Shelf, tmp_path: Path
) -> None:
    path = tmp_path / "golden.raw"
    write_raw(path, MIB, {0: b"yesterday"})
    source = shelf.source(path, VolumeFormat.RAW)
    base = shelf.base(source)
    shelf.driver.make_base(source, base, Control())
    write_raw_again(path, b"today")
    facts = shelf.driver.make_base(source, base, Control())
    assert Path(base.path).read_bytes()[:5] == b"today"
    assert facts.signature == shelf.driver.signature(source)


def write_raw_again(path: Path, text: bytes) -> None:
    with path.open("r+b") as file:
        file.write(text)


def test_a_source_that_changes_under_the_copy_makes_no_base(shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "golden.raw"
    write_raw(path, MIB, {0: b"before"})
    source = shelf.source(path, VolumeFormat.RAW)
    control = Control(meanwhile=lambda: write_raw_again(path, b"a guest was here"))
    with pytest.raises(SourceVolumeBusy, match="changed while it was copied"):
        shelf.driver.make_base(source, shelf.base(source), control)
    assert shelf.files() == set()


def test_a_source_must_have_rested_two_seconds(shelf: Shelf, source: SourceVolume) -> None:
    changed_ns = os.stat(source.path).st_ctime_ns
    early = LocalStorage(shelf.ref, now_ns=lambda: changed_ns + 1_999_999_999)
    late = LocalStorage(shelf.ref, now_ns=lambda: changed_ns + 2_000_000_000)
    with pytest.raises(SourceVolumeBusy, match="written just now"):
        early.signature(source)
    assert late.signature(source)[0].ctime_ns == changed_ns


def test_a_modification_time_in_the_future_does_not_keep_a_source_busy(
    shelf: Shelf, source: SourceVolume
) -> None:
    os.utime(source.path, (4e9, 4e9))
    assert shelf.driver.signature(source)[0].mtime_ns == 4 * 10**18


def test_a_missing_source_is_named(shelf: Shelf, tmp_path: Path) -> None:
    source = shelf.source(tmp_path / "gone.raw", VolumeFormat.RAW)
    with pytest.raises(SourceVolumeMissing, match=r"gone\.raw does not exist"):
        shelf.driver.signature(source)


@pytest.mark.parametrize("kind", ["folder", "fifo", "empty"])
def test_what_is_no_disk_is_no_source(shelf: Shelf, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.raw"
    {"folder": path.mkdir, "fifo": lambda: os.mkfifo(path), "empty": path.touch}[kind]()
    source = shelf.source(path, VolumeFormat.RAW)
    with pytest.raises(SourceVolumeInvalid, match=r"not a regular file|is empty"):
        shelf.driver.make_base(source, shelf.base(source), Control())
    assert shelf.files() == set()


def test_raw_that_looks_like_qcow2_stays_raw(shelf: Shelf, tmp_path: Path) -> None:
    """A guest may write any header into its disk; what is declared decides."""
    secret = tmp_path / "secret"
    secret.write_text("not for guests")
    path = tmp_path / "evil.raw"
    write_qcow2(path, MIB, {0: b"x"})
    source = shelf.source(path, VolumeFormat.RAW)
    plan = shelf.plan(shelf.made_base(source), LINKED)
    shelf.driver.clone(plan, Control())
    assert read_volume(plan) == path.read_bytes()


def test_a_base_that_cannot_be_seen_is_waited_for(shelf: Shelf, source: SourceVolume) -> None:
    plan = shelf.plan(shelf.base(source), LINKED, size=MIB)
    with pytest.raises(StorageUnavailable, match="not to be seen on this host"):
        shelf.driver.clone(plan, Control())
    assert shelf.files() == set()


def test_progress_never_goes_back_and_ends_at_the_bytes_copied(
    shelf: Shelf, tmp_path: Path
) -> None:
    path = tmp_path / "golden.raw"
    path.write_bytes(os.urandom(40 * MIB))
    source = shelf.source(path, VolumeFormat.RAW)
    control = Control()
    shelf.driver.clone(shelf.plan(shelf.made_base(source), FULL), control)
    assert control.reported == sorted(control.reported)
    assert control.reported[-1] == 40 * MIB
    assert len(control.reported) > 1


def test_facts_leave_no_file(shelf: Shelf) -> None:
    facts = shelf.driver.facts()
    assert 0 < facts.free_bytes <= facts.total_bytes
    assert facts.file_system_id == str(os.stat(shelf.folder).st_dev)
    assert shelf.files() == set()


def test_every_failure_is_one_of_ours(shelf: Shelf, source: SourceVolume) -> None:
    plan = shelf.plan(shelf.made_base(source), FULL)
    Path(plan.path).parent.parent.parent.mkdir(exist_ok=True)
    Path(plan.path).parent.parent.write_text("a file where a folder goes")
    with pytest.raises(CloneError):
        shelf.driver.clone(plan, Control())
