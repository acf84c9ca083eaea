"""Loopback ports for the embedded servers."""

import socket
import time
from collections.abc import Callable
from pathlib import Path


class ServerDidNotStart(Exception):
    """An embedded server did not answer in time; the text ends with its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(answers: Callable[[], bool], *, name: str, limit_s: float, log_file: Path) -> None:
    """Raises ServerDidNotStart past the limit."""
    deadline_s = time.monotonic() + limit_s
    while not answers():
        if time.monotonic() > deadline_s:
            tail = log_file.read_text(errors="replace")[-2000:] if log_file.exists() else ""
            raise ServerDidNotStart(f"{name} did not answer within {limit_s:.0f} s:\n{tail}")
        time.sleep(0.02)
