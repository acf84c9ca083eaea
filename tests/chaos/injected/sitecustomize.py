"""Python imports this by itself at its start where PYTHONPATH names this folder: storage then
answers with errors or slowly, and messages are sent twice, as a control file says. The program
under test has no hook for any of it."""

import errno
import fcntl
import json
import os
import random
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

CONTROL = os.environ.get("VMCLONE_CHAOS_CONTROL", "")
WRITES = ("copy_file_range", "pwrite", "ftruncate", "fdatasync")
OTHERS = ("fsync", "unlink")


def control() -> dict[str, Any]:
    try:
        with open(CONTROL, encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return {}


def strike(descriptor: int | None, *, writes: bool) -> None:
    """What the control file asks for, on files of the storages alone."""
    if descriptor is None:
        return
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return
    asked = control()
    if not any(path.startswith(root) for root in asked.get("roots", ())):
        return
    time.sleep(random.random() * asked.get("slow_s", 0))
    number = asked.get("errno")
    # A full disk still lets go of what it has.
    if number and (writes or number != errno.ENOSPC) and random.random() < asked["rate"]:
        raise OSError(number, os.strerror(number))


def wrap(owner: Any, name: str, *, writes: bool) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        if name == "copy_file_range":
            strike(args[1], writes=True)
        elif name == "unlink":
            strike(named.get("dir_fd"), writes=writes)
        elif name == "rename_new":
            strike(args[2], writes=writes)
        else:
            strike(args[0] if isinstance(args[0], int) else None, writes=writes)
        done = original(*args, **named)
        if name in {"rename_new", "copy_file_range"}:
            time.sleep(random.random() * control().get("slow_s", 0))
        return done

    setattr(owner, name, wrapped)


def rename_strikes(module: ModuleType) -> None:
    wrap(module, "rename_new", writes=True)


def send_twice(module: ModuleType) -> None:
    once = module.Publisher.publish

    def publish(self: Any, *args: Any, **named: Any) -> None:
        once(self, *args, **named)
        if control().get("twice"):
            once(self, *args, **named)

    module.Publisher.publish = publish


PATCHES = {"workers.storage.root": rename_strikes, "app.queue": send_twice}


class Patching(MetaPathFinder):
    """Changes these modules right after they were loaded."""

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        patch = PATCHES.get(name)
        spec = PathFinder.find_spec(name, path) if patch else None
        if patch is None or spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            patch(module)

        spec.loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


if CONTROL:
    for function in WRITES:
        wrap(os, function, writes=True)
    for function in OTHERS:
        wrap(os, function, writes=False)
    wrap(fcntl, "ioctl", writes=True)
    sys.meta_path.insert(0, Patching())
