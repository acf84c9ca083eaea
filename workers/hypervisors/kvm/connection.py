"""A process's connection to its host's libvirtd: opened when it is needed, and again after it
broke."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import libvirt

from app.domain.errors import CloneError, InvalidArgument, OperationFailed
from workers.hypervisors.kvm.faults import is_disconnected, meaning

SYSTEM_URI = "qemu:///system"
KEEPALIVE_S, KEEPALIVE_MISSES = 5, 3

_events = threading.Lock()
_event_thread: threading.Thread | None = None


class Connection:
    """Calls are made inside `opened`, which names what is being done for errors."""

    def __init__(self, uri: str) -> None:
        """Raises InvalidArgument for any but the host's own system instance: what runs elsewhere,
        or as another user, does not see this host's images and bridges."""
        if uri != SYSTEM_URI:
            raise InvalidArgument(
                f"libvirtUri {uri} is not served: a worker drives the system instance of its own "
                f"host; declare {SYSTEM_URI}, and run a worker on each host"
            )
        self._uri = uri
        self._connection: libvirt.virConnect | None = None
        self._opening = threading.Lock()

    @contextmanager
    def opened(
        self, doing: str, otherwise: type[CloneError] = OperationFailed
    ) -> Iterator[libvirt.virConnect]:
        """Raises HostDisconnected, DomainBusy, and `otherwise` for what libvirt refuses."""
        with meaning(doing, otherwise):
            with self._opening:
                connection = self._connection = self._connection or _open(self._uri)
            try:
                yield connection
            except libvirt.libvirtError as error:
                if is_disconnected(error):
                    self.close()
                raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(libvirt.libvirtError):
                connection.close()


def _open(uri: str) -> libvirt.virConnect:
    _run_events()
    connection = libvirt.open(uri)
    # A libvirtd that hangs ends the call that waits for it.
    connection.setKeepAlive(KEEPALIVE_S, KEEPALIVE_MISSES)
    return connection


def _run_events() -> None:
    """libvirt's own thread in this process: keep-alives and events need one."""
    global _event_thread
    with _events:
        if _event_thread is not None and _event_thread.is_alive():
            return
        libvirt.registerErrorHandler(lambda *_: None, None)  # errors are raised, not printed
        libvirt.virEventRegisterDefaultImpl()
        _event_thread = threading.Thread(target=_loop, name="libvirt events", daemon=True)
        _event_thread.start()


def _loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
