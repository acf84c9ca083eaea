"""What libvirt keeps of a domain beside its XML: the firmware's variables and the TPM's state.

Everything is named by the VM's uuid and appears under its final name when it is whole. What is
there already may have been used by its guest, and is left alone. Sources: libvirt's
qemu_firmware.c and qemu_tpm.c; swtpm(8).
"""

import grp
import io
import os
import pwd
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from app.domain.errors import DomainBusy, OperationFailed, SourceNotCloneable

NVRAM_FOLDER = Path("/var/lib/libvirt/qemu/nvram")
TPM_FOLDER = Path("/var/lib/libvirt/swtpm")
MAX_BYTES = 64 << 20  # of either; UEFI variables have half a MiB, TPM states some KiB

_NVRAM_NAMES = ("{0}.fd", ".{0}.part", "{0}_VARS.fd", "{0}_VARS.qcow2")  # the last two: libvirt's
_NVRAM = re.compile(r"\.?([0-9a-f]{32})(\.fd|\.part|_VARS\.fd|_VARS\.qcow2)")
_TPM = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(\.part)?")


def nvram_path(vm_uuid: str) -> Path:
    return NVRAM_FOLDER / f"{vm_uuid}.fd"


def default_nvram_path(domain_name: str) -> Path:
    """Where libvirt puts them where it chose the firmware."""
    return NVRAM_FOLDER / f"{domain_name}_VARS.fd"


def read_nvram(path: Path) -> bytes | None:
    """None where the domain never started. Raises DomainBusy, SourceNotCloneable."""
    return _alike(path, lambda: _content(path)) if path.exists() else None


def read_tpm(domain_uuid: str) -> bytes | None:
    """The state as a tar archive with its owners; None where the domain never started.

    Raises DomainBusy, SourceNotCloneable.
    """
    folder = TPM_FOLDER / domain_uuid
    return _alike(folder, lambda: _archive(folder)) if folder.exists() else None


def write(vm_uuid: str, nvram: bytes | None, tpm_state: bytes | None) -> None:
    """Raises OperationFailed."""
    try:
        if nvram is not None:
            _write_nvram(vm_uuid, nvram)
        if tpm_state is not None:
            _write_tpm(vm_uuid, tpm_state)
    except OSError as error:
        raise OperationFailed(
            f"the firmware's variables and TPM state of vm[uuid:{vm_uuid}] cannot be written to "
            f"{error.filename or NVRAM_FOLDER}: {error.strerror}"
        ) from error


def remove(vm_uuid: str) -> None:
    """Absent counts as done."""
    for name in _NVRAM_NAMES:
        with suppress(FileNotFoundError):
            (NVRAM_FOLDER / name.format(vm_uuid)).unlink()
    for folder in (_tpm_folder(vm_uuid), _tpm_part(vm_uuid)):
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def left() -> set[str]:
    """uuids of domains that have any of it, by the names of files and folders."""
    names = [(_NVRAM, name) for name in _names(NVRAM_FOLDER)]
    names += [(_TPM, name) for name in _names(TPM_FOLDER)]
    return {
        found[1].replace("-", "")
        for pattern, name in names
        if (found := pattern.fullmatch(name)) is not None
    }


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _alike(place: Path, read: Callable[[], bytes]) -> bytes:
    """Twice the same: nobody wrote it in between."""
    try:
        first, second = read(), read()
    except OSError as error:
        raise SourceNotCloneable(
            f"its firmware's variables or TPM state {place} cannot be read: {error.strerror}"
        ) from error
    if first != second:
        raise DomainBusy(f"{place} changed while it was read; it is tried again")
    if len(first) > MAX_BYTES:
        raise SourceNotCloneable(f"{place} has {len(first)} bytes, more than such a state can have")
    return first


def _content(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _archive(folder: Path) -> bytes:
    """Folders and files, but none whose name begins with a dot: those are swtpm's locks."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in sorted(folder.rglob("[!.]*")):
            member = archive.gettarinfo(path, str(path.relative_to(folder)))
            member.mtime = 0
            if member.isdir():
                archive.addfile(member)
            elif member.isreg():
                with path.open("rb") as stream:
                    archive.addfile(member, stream)
    return content.getvalue()


def _write_nvram(vm_uuid: str, content: bytes) -> None:
    final = nvram_path(vm_uuid)
    if final.exists():
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    part = NVRAM_FOLDER / f".{vm_uuid}.part"
    _write_file(part, content, 0o600)
    part.replace(final)


def _write_tpm(vm_uuid: str, state: bytes) -> None:
    final, part = _tpm_folder(vm_uuid), _tpm_part(vm_uuid)
    if final.exists():
        return
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o711)
    with tarfile.open(fileobj=io.BytesIO(state)) as archive:
        for member in _inside(archive):
            path = part / member.name
            if member.isdir():
                path.mkdir()
                path.chmod(member.mode & 0o777)
            elif (content := archive.extractfile(member)) is not None:
                _write_file(path, content.read(), member.mode & 0o777)
            os.chown(path, *_owner(member))
    part.rename(final)


def _inside(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Only what stays below the folder."""
    return (m for m in archive if ".." not in Path(m.name).parts and not m.name.startswith("/"))


def _owner(member: tarfile.TarInfo) -> tuple[int, int]:
    """By name, because numbers differ from host to host."""
    owner, group = member.uid, member.gid
    with suppress(KeyError):
        owner = pwd.getpwnam(member.uname).pw_uid
    with suppress(KeyError):
        group = grp.getgrnam(member.gname).gr_gid
    return owner, group


def _write_file(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def _tpm_folder(vm_uuid: str) -> Path:
    return TPM_FOLDER / str(UUID(vm_uuid))


def _tpm_part(vm_uuid: str) -> Path:
    return TPM_FOLDER / f"{UUID(vm_uuid)}.part"
