"""`vmclone up`: one stack a home, children that die with it and come back, a clean end."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.embedded.ports import free_port
from tests.e2e.stack import VMCLONE, Stack, processes_of, running_stack


def wait_until(condition: Callable[[], object], what: str, limit_s: float = 30) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


def server_pid(stack: Stack, server: str) -> int:
    home = stack.settings.home
    if server == "api":
        return min(stack.pids("vmclone api"))
    file = {"valkey": "valkey/valkey.pid", "postgres": "postgres/postmaster.pid"}[server]
    return int((home / file).read_text().split()[0])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """For all tests that leave it running."""
    with running_stack(tmp_path_factory.mktemp("home")) as stack:
        yield stack


def test_a_second_up_says_who_holds_the_home(stack: Stack) -> None:
    second = stack.vmclone("up")
    assert second.returncode == 1
    assert f"is in use by pid {stack.process.pid}" in second.stderr
    assert "VMCLONE_HOME" in second.stderr


def test_a_port_in_use_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*VMCLONE, "up"],
            env={**os.environ, "VMCLONE_HOME": str(tmp_path), "VMCLONE_PORT": str(port)},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert not (tmp_path / "postgres").exists()


def test_stopping_leaves_no_process_and_no_endpoints(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_stack(home) as stack:
        assert len(processes_of(home)) > 5
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(timeout=60) == 0
        assert "stopping" in (home / "up.log").read_text()
        assert processes_of(home) == {}
        assert not (home / "run" / "endpoints.json").exists()


def test_a_killed_up_takes_its_children_with_it_and_another_one_starts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_stack(home) as stack:
        stack.process.kill()
        stack.process.wait()
        wait_until(lambda: not processes_of(home), "children outlive their parent")
    with running_stack(home) as stack:
        assert stack.vmclone("migrate").returncode == 0


@pytest.mark.parametrize("server", ["valkey", "postgres", "api"])
def test_a_killed_child_is_started_again(stack: Stack, server: str) -> None:
    before = server_pid(stack, server)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: before not in processes_of(stack.settings.home), "it is still there")
    stack.wait_until_ready()
    assert server_pid(stack, server) != before


def test_anything_but_loopback_needs_a_password(tmp_path: Path) -> None:
    done = subprocess.run(
        [*VMCLONE, "api"],
        env={
            **os.environ,
            "VMCLONE_HOME": str(tmp_path),
            "VMCLONE_LISTEN": "192.0.2.1",
            "VMCLONE_PORT": str(free_port()),
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "VMCLONE_ADMIN_PASSWORD" in done.stderr
