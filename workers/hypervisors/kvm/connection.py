"""A process's connection to its host's libvirtd: opened when it is needed, and again after it
broke."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import libvirt

from app.domain.errors import CloneError, HostDisconnected, InvalidArgument, OperationFailed
from workers.hypervisors.kvm.faults import is_disconnected, meaning

SYSTEM_URI = "qemu:///system"
KEEPALIVE_S, KEEPALIVE_MISSES = 5, 3
OPEN_LIMIT_S = 15.0

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
        self._opening: _Opening | None = None
        self._lock = threading.Lock()

    @contextmanager
    def opened(
        self, doing: str, otherwise: type[CloneError] = OperationFailed
    ) -> Iterator[libvirt.virConnect]:
        """Raises HostDisconnected, DomainBusy, and `otherwise` for what libvirt refuses."""
        with meaning(doing, otherwise):
            connection = self._living(doing)
            try:
                yield connection
            except libvirt.libvirtError as error:
                if is_disconnected(error):
                    self._forget(connection)
                raise

    def _living(self, doing: str) -> libvirt.virConnect:
        with self._lock:
            if self._connection is not None and self._connection.isAlive():
                return self._connection
            # One that was given up goes on: there is never more than one that hangs.
            self._opening = self._opening or _Opening(self._uri)
            if not self._opening.ended.wait(OPEN_LIMIT_S):
                raise HostDisconnected(
                    f"{doing}: libvirtd takes no connection within {OPEN_LIMIT_S:.0f} s; it hangs: "
                    "look at its log, and restart it (guests run on)"
                )
            opening, self._opening = self._opening, None
            self._connection = opening.result()
            return self._connection

    def _forget(self, broken: libvirt.virConnect) -> None:
        """Another thread may have opened a new one meanwhile, or wait for an answer on this one."""
        with self._lock:
            if self._connection is broken:
                self._connection = None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(libvirt.libvirtError):
                connection.close()


class _Opening:
    """A connection that is being opened, in a thread of its own: libvirt has no limit for that."""

    def __init__(self, uri: str) -> None:
        self.ended = threading.Event()
        self._uri = uri
        self._made: libvirt.virConnect | libvirt.libvirtError | None = None
        threading.Thread(target=self._run, name="libvirt opens", daemon=True).start()

    def _run(self) -> None:
        try:
            self._made = _open(self._uri)
        except libvirt.libvirtError as error:
            self._made = error
        finally:
            self.ended.set()

    def result(self) -> libvirt.virConnect:
        """Once it has ended. Raises libvirtError."""
        if isinstance(self._made, libvirt.libvirtError):
            raise self._made
        return self._made


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
