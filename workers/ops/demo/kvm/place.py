"""What the demo makes on a libvirt host: a folder, a bridge, and through vmclone's workers domains
whose disks lie in that folder.

All of it has fixed names, so that a demo finds what an earlier one left that was killed, and takes
it away before it begins. The folder is held by a lock: a host has one demo at a time.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from app.domain.errors import CloneError, OperationFailed
from app.endpoints import ConfigurationError
from workers.hypervisors.kvm import own_bridge
from workers.ops.demo.kvm.earlier import remove_tree, wait_for_workers

# Where QEMU's user, AppArmor and SELinux let guests' images be, other than VMCLONE_HOME.
FOLDER = Path("/var/lib/libvirt/images/vmclone-demo")
BRIDGE = "vmclone-demo"
_LOCK = ".vmclone-demo"  # in the folder; also says whose it is


@dataclass(frozen=True, slots=True)
class Place:
    uri: str
    storage: Path
    bridge: str
    subnet: IPv4Network
    cpu_num: int
    memory_bytes: int


@contextmanager
def demo_place(uri: str, home: Path) -> Iterator[Place]:
    """A bridge and an empty folder for the demo alone, and no `home` from before. Afterwards all
    of it is gone, domains in front.

    Raises ConfigurationError where a demo runs already, HostDisconnected, ToolMissing,
    OperationFailed, AddressUnavailable.
    """
    from workers.hypervisors.kvm import demo_host

    with _held():
        wait_for_workers(home)
        _remove_all(uri, home)
        try:
            host = demo_host.look(uri)
            subnet = own_bridge.free_subnet([*host.subnets, *own_bridge.routed_subnets()])
            own_bridge.make(BRIDGE, subnet)
            yield Place(uri, FOLDER / "ps", BRIDGE, subnet, host.cpu_num, host.memory_bytes)
        finally:
            _remove_at_last(uri, home)


def _remove_at_last(uri: str, home: Path) -> None:
    try:
        _remove_all(uri, home)
    except CloneError as error:
        raise OperationFailed(
            f"not all that the demo made could be taken away: {error.details} The next demo "
            "begins with what is left: run it again once that is mended",
            cause=error,
        ) from error


def _remove_all(uri: str, home: Path) -> None:
    """Domains go first: once libvirt forgot them, nobody has their disks open."""
    from workers.hypervisors.kvm import demo_host

    demo_host.remove_clones(uri, str(FOLDER), home)
    own_bridge.remove(BRIDGE)
    for entry in FOLDER.iterdir():
        if entry.name == _LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    remove_tree(home)


@contextmanager
def _held() -> Iterator[None]:
    descriptor = _take()
    try:
        yield
    finally:
        # What could not be taken away keeps its mark.
        with suppress(FileNotFoundError):
            if os.listdir(FOLDER) == [_LOCK]:
                (FOLDER / _LOCK).unlink()
                FOLDER.rmdir()
        os.close(descriptor)


def _take() -> int:
    while True:
        _make_folder()
        lock = FOLDER / _LOCK
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigurationError(
                f"a demo runs on this host already, in {FOLDER}: stop that one"
            ) from None
        # It may have ended, and taken the file away, between our two calls.
        if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
            return descriptor
        os.close(descriptor)


def _make_folder() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    FOLDER.chmod(0o755)
    if (entries := os.listdir(FOLDER)) and _LOCK not in entries:
        raise OperationFailed(
            f"{FOLDER} is where the demo's disks would lie, and it was not made by the demo: "
            "rename it"
        )
