"""QEMU's own tools as judges, and file systems on loop devices."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.requirements import require
from tests.storage import MIB, Shelf

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
Run = Callable[..., str]
Mount = Callable[..., Path]


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def qemu_img() -> Run:
    require(shutil.which("qemu-img"), "qemu-img (package qemu-utils)")
    return lambda *arguments: run("qemu-img", *arguments)


@pytest.fixture
def qemu_io(qemu_img: Run) -> Run:
    """`qemu_io(path, format, command, ...)`."""
    require(shutil.which("qemu-io"), "qemu-io (package qemu-utils)")

    def call(path: Path, file_format: str, *commands: str) -> str:
        words = [word for command in commands for word in ("-c", command)]
        return run("qemu-io", "-f", file_format, *words, path)

    return call


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mount]:
    """`mounted("xfs", size)`: a fresh file system of its own, gone afterwards."""
    with ExitStack() as mounts:

        def mount(kind: str, size: int) -> Path:
            require(os.geteuid() == 0, f"root, to mount {kind}")
            place = tmp_path / f"mounted-{kind}"
            place.mkdir()
            if kind == "tmpfs":
                run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
            else:
                require(shutil.which(f"mkfs.{kind}", path=PATH), f"mkfs.{kind}")
                image = tmp_path / f"{kind}.img"
                with image.open("wb") as file:
                    file.truncate(size)
                run(f"mkfs.{kind}", "-q", image)
                run("mount", "-o", "loop", image, place)
            mounts.callback(run, "umount", place)
            return place

        yield mount


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "ps-1")


@pytest.fixture
def xfs(mounted: Mount) -> Shelf:
    """A storage on XFS, which shares extents."""
    return Shelf(mounted("xfs", 512 * MIB) / "ps-1")
