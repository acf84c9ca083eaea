"""The firmware's variables and the TPM's state come to a clone whole, once, and go with it."""

import io
import os
import tarfile
from pathlib import Path
from uuid import UUID

import pytest

from app.domain.errors import DomainBusy, OperationFailed, SourceNotCloneable
from workers.hypervisors.kvm import own_state

SOURCE = "3a5d2c9e-7b1f-4a60-9d2e-5c8f0b1a2d3e"
VM = "5e0c1a2b3c4d4e5f8a9b0c1d2e3f4a5b"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """libvirt's, both not made yet."""
    monkeypatch.setattr(own_state, "NVRAM_FOLDER", tmp_path / "nvram")
    monkeypatch.setattr(own_state, "TPM_FOLDER", tmp_path / "swtpm")
    return tmp_path


def tpm_of_source(folder: Path) -> Path:
    state = folder / "swtpm" / SOURCE / "tpm2"
    state.mkdir(parents=True)
    state.chmod(0o700)
    (state / "tpm2-00.permall").write_bytes(b"keys")
    (state / "tpm2-00.permall").chmod(0o640)
    (state / ".lock").touch()
    return state


def test_a_domain_that_never_started_has_neither(folders: Path) -> None:
    assert own_state.read_nvram(folders / "nvram" / "golden_VARS.fd") is None
    assert own_state.read_tpm(SOURCE) is None


def test_a_tpm_is_copied_with_its_folders_and_modes_but_not_its_lock(folders: Path) -> None:
    tpm_of_source(folders)
    own_state.write(VM, None, own_state.read_tpm(SOURCE))
    clone = folders / "swtpm" / str(UUID(VM))
    found = {str(path.relative_to(clone)): path.stat().st_mode & 0o777 for path in clone.rglob("*")}
    assert found == {"tpm2": 0o700, "tpm2/tpm2-00.permall": 0o640}
    assert (clone / "tpm2" / "tpm2-00.permall").read_bytes() == b"keys"
    assert sorted(os.listdir(folders / "swtpm")) == sorted([SOURCE, clone.name])


def test_the_same_state_reads_alike(folders: Path) -> None:
    state = tpm_of_source(folders)
    before = own_state.read_tpm(SOURCE)
    os.utime(state / "tpm2-00.permall", (1, 1))
    assert own_state.read_tpm(SOURCE) == before
    (state / "tpm2-00.permall").write_bytes(b"other keys")
    assert own_state.read_tpm(SOURCE) != before


def test_what_a_guest_may_have_written_is_not_written_again(folders: Path) -> None:
    tpm_of_source(folders)
    state = own_state.read_tpm(SOURCE)
    own_state.write(VM, b"variables", state)
    own_state.nvram_path(VM).write_bytes(b"the guest's")
    clone = folders / "swtpm" / str(UUID(VM)) / "tpm2" / "tpm2-00.permall"
    clone.write_bytes(b"the guest's")
    own_state.write(VM, b"variables", state)
    assert own_state.nvram_path(VM).read_bytes() == clone.read_bytes() == b"the guest's"


def test_a_part_of_a_killed_run_is_made_anew(folders: Path) -> None:
    tpm_of_source(folders)
    part = folders / "swtpm" / f"{UUID(VM)}.part"
    (part / "tpm2").mkdir(parents=True)
    (part / "tpm2" / "half").touch()
    own_state.write(VM, None, own_state.read_tpm(SOURCE))
    assert [path.name for path in (folders / "swtpm" / str(UUID(VM)) / "tpm2").iterdir()] == [
        "tpm2-00.permall"
    ]
    assert not part.exists()


def test_removed_nothing_is_left_and_the_sources_stay(folders: Path) -> None:
    tpm_of_source(folders)
    own_state.write(VM, b"variables", own_state.read_tpm(SOURCE))
    (folders / "nvram" / f"{VM}_VARS.fd").touch()  # libvirt's, where it chose the firmware
    (folders / "nvram" / f".{VM}.part").touch()
    (folders / "swtpm" / f"{UUID(VM)}.part").mkdir()
    (folders / "nvram" / "golden_VARS.fd").touch()
    assert own_state.left() == {VM, SOURCE.replace("-", "")}
    for _ in range(2):
        own_state.remove(VM)
        assert own_state.left() == {SOURCE.replace("-", "")}
    assert os.listdir(folders / "nvram") == ["golden_VARS.fd"]


def test_what_changes_while_it_is_read_is_read_later(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folders / "vars.fd"
    path.touch()
    contents = iter((b"one", b"other"))
    monkeypatch.setattr(own_state, "_content", lambda _: next(contents))
    with pytest.raises(DomainBusy, match=r"vars.fd changed while it was read"):
        own_state.read_nvram(path)


def test_what_cannot_be_read_or_written_is_named(folders: Path) -> None:
    (folders / "vars.fd").mkdir()
    with pytest.raises(SourceNotCloneable, match=r"vars.fd cannot be read: Is a directory"):
        own_state.read_nvram(folders / "vars.fd")
    (folders / "nvram").touch()
    with pytest.raises(OperationFailed, match=rf"vm\[uuid:{VM}\] cannot be written to .*nvram"):
        own_state.write(VM, b"variables", None)


def test_nothing_is_written_outside_the_clones_folder(folders: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in ("../evil", f"{folders}/evil", "good"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    own_state.write(VM, None, content.getvalue())
    assert not list(folders.rglob("evil"))
    assert (folders / "swtpm" / str(UUID(VM)) / "good").exists()
