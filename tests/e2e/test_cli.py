"""The people's verbs as people use them: in a terminal and in pipes, on one real stack."""

import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import VMCLONE, Stack, running_stack
from tests.e2e.terminal import Terminal
from tests.e2e.test_up import server_pid

MIB = 1 << 20
# Of `tight` three clones have an address, of `huge` none has a host.
INVENTORY = """
zones: [{{name: z}}]
clusters: [{{name: c, zone: z, hypervisorType: Simulator}}]
hosts: [{{name: host-1, cluster: c, managementIp: 127.0.0.1, cpuNum: 400, memorySize: 400GiB}}]
primaryStorage: [{{name: ps, type: LocalStorage, url: {files}/ps, clusters: [c]}}]
l3Networks:
  - {{name: wide, zone: z, ipRanges: [{{startIp: 10.1.0.10, endIp: 10.1.3.250,
     netmask: 255.255.0.0, gateway: 10.1.0.1}}]}}
  - {{name: three, zone: z, ipRanges: [{{startIp: 10.2.0.11, endIp: 10.2.0.13,
     netmask: 255.255.0.0, gateway: 10.2.0.1}}]}}
vmInstances:
  - {{name: golden, cluster: c, host: host-1, state: Stopped, cpuNum: 1, memorySize: 128MiB,
     volumes: [{{type: Root, primaryStorage: ps, path: {files}/root.raw, format: raw}}],
     nics: [{{l3Network: wide, ip: 10.1.0.9}}]}}
  - {{name: tight, cluster: c, host: host-1, state: Stopped, cpuNum: 1, memorySize: 128MiB,
     volumes: [{{type: Root, primaryStorage: ps, path: {files}/root-2.raw, format: raw}}],
     nics: [{{l3Network: three, ip: 10.2.0.9}}]}}
  - {{name: huge, cluster: c, host: host-1, state: Stopped, cpuNum: 1, memorySize: 500GiB,
     volumes: [{{type: Root, primaryStorage: ps, path: {files}/root-3.raw, format: raw}}],
     nics: [{{l3Network: wide, ip: 10.1.0.8}}]}}
"""
RATE = ["primaryStorage", "ps", "bytesPerSecond"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    files = tmp_path_factory.mktemp("cli")
    for number in ("", "-2", "-3"):
        (files / f"root{number}.raw").write_bytes(os.urandom(8 * MIB))
    with running_stack(files / "home", XDG_CONFIG_HOME=str(files / "config")) as running:
        for name in ("VMCLONE_URL", "VMCLONE_USER", "VMCLONE_PASSWORD", "VMCLONE_PROFILE"):
            running.environment.pop(name, None)
        document = files / "inventory.yaml"
        document.write_text(INVENTORY.format(files=files))
        applied = running.vmclone("inventory", "apply", str(document))
        assert applied.returncode == 0, applied.stderr
        yield running


@contextmanager
def slow_storage(stack: Stack) -> Iterator[None]:
    """Full copies take long, until this is left."""
    assert stack.vmclone("limits", "set", *RATE, "1MiB").returncode == 0
    try:
        yield
    finally:
        assert stack.vmclone("limits", "unset", *RATE).returncode == 0


@contextmanager
def not_started_again(stack: Stack) -> Iterator[None]:
    """What dies stays so for a while: whoever would start it again is stopped."""
    os.kill(stack.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.process.pid, signal.SIGCONT)


def terminal(stack: Stack, *words: str, columns: int = 100) -> Terminal:
    return Terminal([*VMCLONE, *words], stack.environment, columns=columns)


def api_job(stack: Stack, uuid: str) -> dict[str, Any]:
    async def job(client: Any) -> Any:
        return {"job": await client.job(uuid), "items": await client.items(uuid)}

    return dict(stack.ask(job))


def first_uuid(text: str) -> str:
    found = re.search(r"\b[0-9a-f]{32}\b", text)
    assert found, text
    return found[0]


def test_a_terminal_shows_what_is_under_way_and_then_what_came_of_it(stack: Stack) -> None:
    with slow_storage(stack):
        shown = terminal(stack, "clone", "golden", "live-{1..3}", "--mode", "full", "--wait")
        shown.wait_for("golden to 3 names", "0/3", "live-1", "copy the root volume", "%", "━")
    with shown:
        assert shown.end() == 0, shown.text
    assert "3 of 3 cloned" in shown.text
    assert b"\x1b[" in shown.raw
    assert "copy the root volume" not in shown.text, "the live display goes"
    told = [line for line in shown.lines if line.endswith("Succeeded")]
    assert sorted(told) == [f"live-{number}: Succeeded" for number in (1, 2, 3)]


def test_a_narrow_terminal_without_colours_keeps_its_lines(stack: Stack) -> None:
    stack.environment["NO_COLOR"] = "1"
    try:
        with terminal(stack, "jobs", columns=50) as shown:
            assert shown.end() == 0
    finally:
        del stack.environment["NO_COLOR"]
    assert re.search(rb"\x1b\[[0-9;]*3[0-7]m", shown.raw) is None
    rows = [line for line in shown.lines if "golden" in line]
    assert rows
    assert all(re.match(r" ?[0-9a-f]{8} ", row) for row in rows), shown.text


def test_some_failed_is_status_3_with_the_reason_and_the_way_to_a_retry(stack: Stack) -> None:
    """From a shortage over its cause to names that are tried again."""
    done = stack.vmclone("clone", "tight", "some-{1..5}", "--wait")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert "3 of 5 cloned" in done.stdout
    reason = re.search(r"  failed: some-\d, some-\d: (.*)", done.stdout)
    assert reason is not None
    assert "no ip is available" in reason[1]
    assert done.stdout.count(": Failed: ") == 2
    job = first_uuid(done.stdout)
    assert f"vmclone retry {job[:8]} --wait" in done.stdout

    listed = stack.vmclone("vms", "--job", job[:8])
    assert listed.stdout.splitlines()[0].split() == ["name", "ip", "state", "host", "uuid"]
    addresses = {line.split()[1] for line in listed.stdout.splitlines()[1:]}
    assert addresses == {"10.2.0.11", "10.2.0.12", "10.2.0.13"}
    assert "host-1" in listed.stdout

    removed = stack.vmclone("destroy", "--job", job[:8], "--expunge", "--yes")
    assert (removed.returncode, "3 of 3 expunged" in removed.stdout) == (0, True), removed.stderr
    again = stack.vmclone("retry", job[:8], "--wait")
    assert (again.returncode, "2 of 2 cloned" in again.stdout) == (0, True), again.stdout


def test_none_is_status_1_and_says_why(stack: Stack) -> None:
    done = stack.vmclone("clone", "huge", "none-{1..2}", "--wait")
    assert done.returncode == 1, done.stdout
    assert "0 of 2 cloned" in done.stdout
    assert "failed: none-1, none-2: " in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["clone", "nobody", "x"], 1, "there is no VM nobody that you can see"),
        (["clone", "golden", "x-{1-3}"], 2, "[x-{1-3}] has braces that are no range"),
        (["destroy", "x-*", "--yes"], 1, "a `*` stands for several in `vmclone vms` alone"),
        (["clone", "golden", "x", "--host", "h9"], 1, "there is no host h9"),
        (["clone", "golden", "x", "y", "--hostname", "web"], 1, "hostname[web] names one guest"),
        (["watch", "zz"], 1, "'zz' is no job"),
        (["cancel", "f" * 32], 1, f"there is no clone job {'f' * 32}"),
        (["destroy", "golden"], 2, "there is no terminal to ask"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_named(stack: Stack, words: list[str], status: int, says: str) -> None:
    refused = stack.vmclone(*words)
    assert refused.returncode == status, refused.stderr
    assert refused.stdout == ""
    plain = " ".join(refused.stderr.replace("│", " ").split())
    assert says in plain
    if status == 1:
        assert refused.stderr.startswith("vmclone: ")
        assert refused.stderr.count("\n") == 1


def test_json_is_what_the_api_says_and_nothing_else(stack: Stack) -> None:
    done = stack.vmclone("clone", "golden", "json-1", "other", "--wait", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said == api_job(stack, said["job"]["uuid"])
    assert [item["name"] for item in said["items"]] == ["json-1", "other"]
    listed = json.loads(stack.vmclone("jobs", "--json", "--source", "golden").stdout)
    assert said["job"] in listed
    vms = json.loads(stack.vmclone("vms", "json-*", "--json").stdout)
    assert [vm["uuid"] for vm in vms] == [said["items"][0]["vmUuid"]]


def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(stack: Stack) -> None:
    with (
        slow_storage(stack),
        terminal(stack, "clone", "golden", "long-{1..6}", "--mode", "full", "--wait") as shown,
    ):
        shown.wait_for("long-1", "%")
        job = first_uuid(shown.text)
        shown.interrupt()
        assert shown.end() == 130
        assert f"vmclone watch {job[:8]}" in shown.text
        assert f"vmclone cancel {job[:8]}" in shown.text
        assert api_job(stack, job)["job"]["state"] == "Running"
        canceled = stack.vmclone("cancel", job[:8])
        assert canceled.returncode == 0, canceled.stderr
        watched = stack.vmclone("watch", job[:8])
        # One may have ended before the cancel came.
        said = re.search(r"(\d) of 6 cloned", watched.stdout)
        assert said, watched.stdout
        cloned = int(said[1])
        assert cloned < 6
        assert watched.returncode == (3 if cloned else 1)


def test_a_killed_api_is_waited_for_and_told_of_once(stack: Stack) -> None:
    with slow_storage(stack):
        shown = terminal(stack, "clone", "golden", "kept-{1..2}", "--mode", "full", "--wait")
        shown.wait_for("kept-1", "%")
        for _ in range(2):
            with not_started_again(stack):
                os.kill(server_pid(stack, "api"), signal.SIGKILL)
                shown.wait_for("does not answer")
            stack.wait_until_ready()
    with shown:
        assert shown.end() == 0, shown.text
    assert "2 of 2 cloned" in shown.text


def test_a_paused_job_waits_until_it_is_resumed(stack: Stack) -> None:
    with slow_storage(stack):
        accepted = stack.vmclone("clone", "golden", "rest-{1..4}", "--mode", "full")
        assert accepted.returncode == 0
        job = first_uuid(accepted.stdout)
        assert stack.vmclone("pause", job).returncode == 0
    with terminal(stack, "watch", job[:8]) as shown:
        shown.wait_for("(paused)")
        assert stack.vmclone("resume", job).returncode == 0
        assert shown.end() == 0
    assert "4 of 4 cloned" in shown.text


def test_destroying_asks_first(stack: Stack) -> None:
    assert stack.vmclone("clone", "golden", "gone-{1..2}", "--wait").returncode == 0
    with terminal(stack, "destroy", "gone-{1..2}") as shown:
        shown.wait_for("Destroy gone-1, gone-2 on http://127.0.0.1:", "[y/N]")
        shown.type("n\n")
        assert shown.end() == 2
    assert stack.vmclone("vms", "gone-*").stdout.count("Running") == 2
    with terminal(stack, "destroy", "gone-{1..2}") as shown:
        shown.wait_for("[y/N]")
        shown.type("y\n")
        assert shown.end() == 0
    assert "gone-2: destroyed" in shown.text
    assert stack.vmclone("vms", "gone-*").stdout == ""
    kept = stack.vmclone("vms", "gone-*", "--destroyed").stdout
    assert kept.count("Destroyed") == 2


def test_a_profile_is_signed_in_used_and_signed_out(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.settings.port}"
    elsewhere = {**stack.environment, "VMCLONE_HOME": "/nonexistent", "VMCLONE_PORT": "1"}
    with Terminal([*VMCLONE, "login", url, "--profile", "here"], elsewhere) as shown:
        shown.wait_for(f"Password of admin on {url}:")
        shown.type("password\n")
        assert shown.end() == 0
    file = Path(elsewhere["XDG_CONFIG_HOME"]) / "vmclone" / "profiles" / "here.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_text()
    assert "password" not in content

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*VMCLONE, *words, "--profile", "here"],
            env=elsewhere,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("jobs").returncode == 0
    assert file.read_text() == content, "the session stays open"
    file.chmod(0o644)
    refused = run("jobs")
    assert (refused.returncode, "mode 644" in refused.stderr) == (1, True)
    file.chmod(0o600)
    assert run("logout").returncode == 0
    signed_out = run("jobs")
    assert signed_out.returncode == 1
    assert "`vmclone login --profile here`" in signed_out.stderr
    file.write_text(content)
    ended = run("jobs")
    assert ended.returncode == 1
    assert "the session has ended: `vmclone login --profile here`" in ended.stderr


def test_the_shell_completes_names_and_jobs(stack: Stack) -> None:
    def completed(line: str) -> list[str]:
        environment = {
            **stack.environment,
            "_VMCLONE_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
        }
        done = subprocess.run(VMCLONE[1:], env=environment, capture_output=True, text=True)
        return done.stdout.split()

    assert "golden" in completed("vmclone clone go")
    job = json.loads(stack.vmclone("jobs", "--json", "--limit", "1").stdout)[0]["uuid"]
    assert completed(f"vmclone watch {job[:8]}") == [job]


def test_nobody_there_is_one_line_with_the_way_out(stack: Stack) -> None:
    environment = {**stack.environment, "VMCLONE_PORT": "1"}
    began_s = time.monotonic()
    away = subprocess.run(
        [*VMCLONE, "jobs"], env=environment, capture_output=True, text=True, check=False
    )
    assert away.returncode == 1
    assert away.stderr.startswith("vmclone: http://127.0.0.1:1 does not answer")
    assert "`make run` or `vmclone up`" in away.stderr
    assert time.monotonic() - began_s < 60
