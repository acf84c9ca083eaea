"""A guest's files are read by a shell, or one by one, or not at all."""

import base64
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libvirt")
agent = pytest.importorskip("workers.hypervisors.kvm.guest_agent")
guest_files = pytest.importorskip("workers.hypervisors.kvm.guest_files")

Refused = agent.QuestionRefused


class Guest:
    """An agent that may do what `allowed` says, on files of its own."""

    def __init__(self, root: Path, allowed: set[str]) -> None:
        self.root = root
        self.allowed = allowed
        self.open: dict[int, Path] = {}
        self.left = count(1)
        self.ran: subprocess.CompletedProcess[bytes] | None = None

    def ask(self, domain: object, question: str, **arguments: Any) -> Any:
        if question not in self.allowed:
            raise Refused(f"{question} has been disabled")
        answer: Callable[..., Any] = getattr(self, question.replace("-", "_"))
        return answer(**{name.replace("-", "_"): value for name, value in arguments.items()})

    def guest_exec(self, path: str, arg: list[str], capture_output: bool) -> Any:
        script = arg[1].replace(" /", f" {self.root}/")
        self.ran = subprocess.run([path, arg[0], script], capture_output=True, check=False)
        self.ran.stdout = self.ran.stdout.replace(str(self.root).encode(), b"")
        return {"pid": 7}

    def guest_exec_status(self, pid: int) -> Any:
        assert self.ran
        out = base64.b64encode(self.ran.stdout).decode()
        return {"exited": True, "exitcode": self.ran.returncode, "out-data": out}

    def guest_file_open(self, path: str, mode: str) -> int:
        assert mode == "r"
        file = self.root / path.lstrip("/")
        if not file.exists():
            raise Refused(f"failed to open file '{path}'")
        self.open[handle := next(self.left)] = file
        return handle

    def guest_file_read(self, handle: int, count: int) -> Any:
        return {"buf-b64": base64.b64encode(self.open[handle].read_bytes()[:count]).decode()}

    def guest_file_close(self, handle: int) -> Any:
        del self.open[handle]
        return {}


FILES = {"guest-file-open", "guest-file-read", "guest-file-close"}
RUNS = {"guest-exec", "guest-exec-status"}


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guest:
    made = Guest(tmp_path, RUNS | FILES)
    for name, content in {
        "proc/cmdline": "quiet\n",
        "etc/cloud/cloud.cfg": "a: 1\n" * 10_000,
        "etc/cloud/cloud.cfg.d/with a space.cfg": "",
        "etc/cloud/cloud.cfg.d/99.cfg": "datasource_list: [None]\n",
        "etc/NetworkManager/system-connections/wlan": "psk=secret\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setattr(guest_files, "ask", made.ask)
    return made


def test_a_shell_lists_folders_and_no_secret_leaves_the_guest(guest: Guest) -> None:
    found = guest_files.read_files(object())
    assert found.complete
    assert found.files["/proc/cmdline"] == "quiet\n"
    assert found.files["/etc/cloud/cloud.cfg.d/99.cfg"] == "datasource_list: [None]\n"
    assert len(found.files["/etc/cloud/cloud.cfg"]) == guest_files.MOST_BYTES
    assert found.files["/etc/NetworkManager/system-connections/wlan"] == ""
    assert guest.ran
    assert b"secret" not in guest.ran.stdout


def test_without_a_shell_the_usual_names_are_read_and_closed_again(guest: Guest) -> None:
    guest.allowed = FILES
    found = guest_files.read_files(object())
    assert not found.complete
    assert set(found.files) == {"/proc/cmdline", "/etc/cloud/cloud.cfg"}
    assert guest.open == {}


def test_a_shell_that_fails_is_no_answer(guest: Guest) -> None:
    guest.allowed = RUNS
    guest.guest_exec_status = lambda pid: {"exited": True, "exitcode": 1}  # type: ignore[method-assign]
    with pytest.raises(Refused):
        guest_files.read_files(object())


def test_an_agent_that_may_nothing_says_so(guest: Guest) -> None:
    guest.allowed = set()
    with pytest.raises(Refused, match="has been disabled"):
        guest_files.read_files(object())


@pytest.mark.parametrize("answer", [None, {}, {"pid": 7}, 5])
def test_nonsense_of_an_agent_is_no_answer(guest: Guest, answer: Any) -> None:
    guest.allowed = RUNS
    guest.guest_exec = lambda **_: answer  # type: ignore[method-assign]
    guest.guest_exec_status = lambda pid: {"exited": True, "exitcode": 0, "out-data": "?"}  # type: ignore[method-assign]
    with pytest.raises(Refused):
        guest_files.read_files(object())
