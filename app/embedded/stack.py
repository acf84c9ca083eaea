"""The whole of vmclone on one machine: servers, API and worker as children of one process."""

import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from app.endpoints import ConfigurationError, database_url, endpoints_file
from app.settings import Settings
from app.supervisor import Child, Supervisor

WORKER_GRACE_S = 50.0  # a worker itself gives its running steps 45 s


@contextmanager
def hold_home(home: Path) -> Iterator[None]:
    """One stack a home. Raises ConfigurationError that says who holds it."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{home} cannot be used as VMCLONE_HOME: {error.strerror}; name a folder of yours"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
            raise ConfigurationError(
                f"{home} is in use by {holder or 'another vmclone'}: stop that one, or set "
                "VMCLONE_HOME to another folder"
            ) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} ({_command()}) since {since}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def run_stack(
    settings: Settings,
    *,
    migrate: Callable[[str], None],
    commands: Callable[[], Callable[[str], object]],
    alongside: Callable[[], int | None],
    environment: Mapping[str, str] | None = None,
    stopping: Callable[[], object] = lambda: None,
) -> int:
    """Run until SIGINT or SIGTERM, or until `alongside` returns an exit status.

    The API and the worker read their settings from the environment: what differs there from
    `settings` stands in `environment`. `commands` imports what they need, and gives what
    `vmclone NAME` calls. `migrate` is called with the database's URL before the API starts;
    `alongside` runs in a thread once the children are started, and may return None to leave the
    stack running. `stopping` is called when a signal begins its end, which takes until workers
    have handed back what they have under way.
    """
    with hold_home(settings.home):
        _check_port(settings)
        supervisor = Supervisor([], grace_s=WORKER_GRACE_S, told=stopping)
        try:
            servers = _start_servers(settings.home, supervisor) if settings.embedded else None
            # A home of its own is to be seen in its environment from outside: no fork, then.
            command = None if environment else commands()  # while they start
            if servers:
                for server in servers:
                    server.wait()
                _write_endpoints(settings.home, *servers)
            migrate(database_url(settings))
            for name in ("api", "worker"):
                argv = [sys.executable, str(script()), name]
                main = partial(command, name) if command else None
                supervisor.add(Child(name, argv, env=environment, main=main))
            companion = _Companion(alongside, supervisor)
            companion.start()
            supervisor.run(tick_s=0.2)
        finally:
            supervisor.stop()
            if settings.embedded:
                endpoints_file(settings.home).unlink(missing_ok=True)
    return companion.status or 0


def _check_port(settings: Settings) -> None:
    """Before anything is started. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in settings.listen else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.listen, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {settings.listen}:{settings.port}: {error.strerror}; "
                "set VMCLONE_PORT (and VMCLONE_LISTEN) to an address that is free"
            ) from None


def script() -> Path:
    """The `vmclone` command, so that children show by that name in the process list."""
    beside = Path(sys.executable).with_name("vmclone")
    return beside if beside.exists() else Path(sys.argv[0]).absolute()


class _Companion(threading.Thread):
    def __init__(self, alongside: Callable[[], int | None], supervisor: Supervisor) -> None:
        super().__init__(name="alongside", daemon=True)
        self._alongside = alongside
        self._supervisor = supervisor
        self.status: int | None = None

    def run(self) -> None:
        try:
            self.status = self._alongside()
        except BaseException:
            self.status = 1
            raise
        finally:
            if self.status is not None:
                self._supervisor.request_stop()


def _start_servers(home: Path, supervisor: Supervisor) -> tuple[Postgres, Valkey]:
    servers = Postgres(home), Valkey(home)
    for server in servers:
        supervisor.add(server.child())
    return servers


def _write_endpoints(home: Path, postgres: Postgres, valkey: Valkey) -> None:
    """Whole or not at all, and for this user's eyes."""
    urls = {"database_url": postgres.url, "broker_url": valkey.url}
    file = endpoints_file(home)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(urls, stream)
    part.replace(file)


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
