"""Keeps the terminal to one speaker while child processes run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_STREAMS = (1, 2)


@contextmanager
def children_speak_to(log: Path) -> Iterator[TextIO]:
    """What this process's standard output was, while everything else that is said, children's
    words included, is appended to `log`. Where that cannot be written nothing is redirected."""
    with os.fdopen(os.dup(1), "w") as terminal:
        saved = [os.dup(stream) for stream in _STREAMS]
        try:
            _redirect(log)
            yield terminal
        finally:
            for stream, was in zip(_STREAMS, saved, strict=True):
                os.dup2(was, stream)
                os.close(was)


def _redirect(log: Path) -> None:
    try:
        log.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log.parent.mkdir(exist_ok=True, mode=0o700)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # whoever takes the folder says why it cannot be used
    for stream in _STREAMS:
        os.dup2(descriptor, stream)
    os.close(descriptor)
