"""A storage's root folder, held open: every path is resolved below it and follows no link.

The folder holds a marker file with the storage's uuid. A missing marker means that the folder is
not the storage (an unmounted NFS): nothing is then written, and nothing counts as absent.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from app.domain.errors import OperationFailed, StorageUnavailable
from app.domain.plan import StorageRef, StorageType
from workers.storage.faults import meaning

MARKER = ".vmclone-storage"
SYS_OPENAT2 = 437  # the same number on x86-64 and arm64
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
RENAME_NOREPLACE = 1
FOLDER = os.O_RDONLY | os.O_DIRECTORY
# NFS knows no flag of renameat2.
_NO_RENAME_FLAGS = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


class Root:
    """Use as a context manager. Entering raises StorageUnavailable without the right marker."""

    def __init__(self, storage: StorageRef) -> None:
        self._storage = storage
        self._descriptor = -1

    def __enter__(self) -> "Root":
        try:
            self._descriptor = os.open(self._storage.url, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unavailable(f"the folder cannot be opened ({error.strerror})") from error
        try:
            self._check_marker()
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    @property
    def descriptor(self) -> int:
        return self._descriptor

    def relative(self, path: str) -> str:
        """The part of an absolute path below the root. Raises OperationFailed outside of it."""
        inside = os.path.relpath(path, self._storage.url)
        if inside == "." or inside.split("/", 1)[0] == "..":
            raise OperationFailed(f"{path} is not below primary storage {self._storage.url}")
        return inside

    @contextmanager
    def opened(self, inside: str, flags: int, mode: int = 0) -> Iterator[int]:
        descriptor = _open_below(self._descriptor, inside, flags | os.O_CLOEXEC, mode)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def exists(self, inside: str) -> bool:
        """Raises OperationFailed where the name is taken by something that is no regular file."""
        folder, name = os.path.split(inside)
        try:
            with self.opened(folder or ".", FOLDER) as parent:
                mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(mode):
            raise OperationFailed(
                f"{self._storage.url}/{inside} is not a regular file; move it out of the way"
            )
        return True

    @property
    def url(self) -> str:
        return self._storage.url.rstrip("/")

    def stat(self, inside: str) -> os.stat_result | None:
        """Of the name itself, where it is a link; None where there is none."""
        folder, name = os.path.split(inside)
        try:
            with self.opened(folder or ".", FOLDER) as parent:
                return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self, inside: str) -> list[str]:
        """In the folder, sorted; none where it is absent."""
        try:
            with self.opened(inside, FOLDER) as folder:
                return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []

    def remove(self, inside: str) -> None:
        """The file is gone afterwards, on disk too; absent is gone."""
        folder, name = os.path.split(inside)
        with suppress(FileNotFoundError), self.opened(folder or ".", FOLDER) as parent:
            os.unlink(name, dir_fd=parent)
            os.fsync(parent)

    def remove_folder(self, inside: str) -> None:
        """An empty folder is gone afterwards; one that is not empty stays."""
        folder, name = os.path.split(inside)
        with suppress(OSError), self.opened(folder or ".", FOLDER) as parent:
            os.rmdir(name, dir_fd=parent)

    def publish(self, part: str, final: str) -> None:
        """Give a whole, synced file its final name, durably. Raises FileExistsError rather than
        replace what has that name."""
        part_folder, part_name = os.path.split(part)
        folder, name = os.path.split(final)
        changed = [*self._make_folder(folder), folder]
        with self.opened(part_folder, FOLDER) as source, self.opened(folder, FOLDER) as target:
            rename_new(source, part_name, target, name)
        self._sync(changed)

    def settle(self, final: str) -> None:
        """A published file's names are on disk, also when who renamed it died right after."""
        folders = [str(folder) for folder in Path(final).parents]
        self._sync(folders)

    def _make_folder(self, inside: str) -> list[str]:
        """With its parents; the folders that got a new entry."""
        if not inside:
            return []
        parent, name = os.path.split(inside)
        try:
            with self.opened(parent or ".", FOLDER) as folder:
                os.mkdir(name, 0o755, dir_fd=folder)
        except FileExistsError:
            return []
        except FileNotFoundError:
            return [*self._make_folder(parent), *self._make_folder(inside)]
        return [parent or "."]

    def _sync(self, folders: list[str]) -> None:
        for folder in folders:
            with self.opened(folder, FOLDER) as descriptor:
                os.fsync(descriptor)

    def _check_marker(self) -> None:
        try:
            with self.opened(MARKER, os.O_RDONLY) as marker:
                found = os.read(marker, 64).decode(errors="replace").strip()
        except OSError as error:
            raise self._unavailable(f"its marker {MARKER} is missing") from error
        if found != self._storage.uuid:
            raise self._unavailable(f"its marker {MARKER} names storage {found!r}")

    def _unavailable(self, what: str) -> StorageUnavailable:
        return StorageUnavailable(
            f"primary storage[uuid:{self._storage.uuid}, url:{self._storage.url}] cannot be used: "
            f"{what}; is it mounted on this host?"
        )


def initialize(storage: StorageRef) -> None:
    """Make the root with its folders and its marker. A folder that another storage marked is
    refused; of a shared mount point the folder itself must be there."""
    root = Path(storage.url)
    with meaning("making the root folder", storage.url):
        if storage.type is StorageType.SHARED_MOUNT_POINT and not root.is_dir():
            raise StorageUnavailable(f"{root} does not exist on this host; is it mounted?")
        root.mkdir(parents=True, exist_ok=True)
        _write_marker(root, storage)
        for folder in ("imagecache", "work", "rootVolumes", "dataVolumes"):
            (root / folder).mkdir(exist_ok=True)
        with Root(storage) as opened, opened.opened(".", FOLDER) as descriptor:
            os.fsync(descriptor)


def _write_marker(root: Path, storage: StorageRef) -> None:
    """Whole or not at all, and never over another's."""
    part = root / f"{MARKER}.{storage.uuid}"
    with part.open("w") as stream:
        stream.write(storage.uuid + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(part, root / MARKER)
    except FileExistsError:
        found = (root / MARKER).read_text(errors="replace").strip()
        if found != storage.uuid:
            raise OperationFailed(
                f"{root} is already the root of storage {found}: give "
                f"storage[uuid:{storage.uuid}] a folder of its own"
            ) from None
    finally:
        part.unlink(missing_ok=True)


def rename_new(source: int, old: str, target: int, new: str) -> None:
    """Rename from folder to folder. Raises FileExistsError rather than replace anything."""
    if _libc.renameat2(source, os.fsencode(old), target, os.fsencode(new), RENAME_NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in _NO_RENAME_FLAGS:
        raise OSError(number, os.strerror(number), new)
    os.link(old, new, src_dir_fd=source, dst_dir_fd=target)
    os.unlink(old, dir_fd=source)


def _open_below(folder: int, inside: str, flags: int, mode: int) -> int:
    """openat2(2) that never leaves the folder and follows no link."""
    how = _OpenHow(flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    descriptor = _libc.syscall(
        SYS_OPENAT2, folder, os.fsencode(inside), ctypes.byref(how), ctypes.sizeof(how)
    )
    if descriptor >= 0:
        return int(descriptor)
    number = ctypes.get_errno()
    if number == errno.ENOSYS:  # before Linux 5.6
        return _walk_below(folder, inside, flags, mode)
    raise OSError(number, os.strerror(number), inside)


def _walk_below(folder: int, inside: str, flags: int, mode: int) -> int:
    """The same with openat(2), name by name."""
    *folders, last = [part for part in inside.split("/") if part not in {"", "."}] or ["."]
    if inside.startswith("/") or ".." in {*folders, last}:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), inside)
    current = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        for name in folders:
            below = os.open(name, os.O_PATH | FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = below
        return os.open(last, flags | os.O_NOFOLLOW, mode, dir_fd=current)
    finally:
        os.close(current)
