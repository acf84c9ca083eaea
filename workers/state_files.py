"""Empty files that stand for simulated things: they survive a process and everybody sees them."""

import os
from contextlib import suppress
from pathlib import Path


class StateFiles:
    """One file a thing in one folder. Making and removing are single system calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def add(self, name: str) -> None:
        """There afterwards; twice is once."""
        path = f"{self._folder}/{name}"
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            os.makedirs(self._folder, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)

    def names(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted(os.listdir(self._folder))
        return []

    def __contains__(self, name: object) -> bool:
        return os.path.exists(f"{self._folder}/{name}")

    def remove(self, name: str) -> None:
        """Gone afterwards; absent is gone."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._folder}/{name}")
