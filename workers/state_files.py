"""Empty files that stand for simulated things: they survive a process and everybody sees them."""

import errno
import os
from contextlib import suppress
from pathlib import Path


class StateFiles:
    """One file a thing in one folder. Making and removing are single system calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        # Each is one more name of this one: that costs half of what a file of its own does.
        self._one = f"{folder}.one"

    def add(self, name: str) -> None:
        """There afterwards; twice is once."""
        path = f"{self._folder}/{name}"
        try:
            os.link(self._one, path)
        except FileExistsError:
            return
        except FileNotFoundError:
            os.makedirs(self._folder, exist_ok=True)
            _create(self._one)
            self.add(name)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            _create(path)

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


def _create(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
