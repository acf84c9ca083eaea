"""`vmclone demo --hypervisor kvm` as it is typed, on a host with a libvirtd of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.embedded.ports import free_port
from tests.e2e.stack import VMCLONE
from tests.guest.build import cache_folder
from tests.kvm.domains import Domain
from tests.kvm.libvirt_host import LibvirtHost, libvirt_host
from tests.kvm.waiting import until

IMAGES = "/var/lib/libvirt/images"
DEMO_BRIDGE = "vmclone-demo"
LIMIT_S = 180
FOREIGN_MAC = "52:54:00:00:00:09"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibvirtHost]:
    with libvirt_host(tmp_path_factory.mktemp("demo") / "host", "host-a") as made:
        yield made


@pytest.fixture
def somebodys(host: LibvirtHost, domain_type: str) -> Iterator[None]:
    """Somebody else's guest, which runs before and afterwards."""
    with host.connection() as libvirtd:
        running = libvirtd.createXML(Domain("somebodys", domain_type, FOREIGN_MAC, []).xml())
        yield
        assert running.isActive()
        running.destroy()


@pytest.fixture(autouse=True)
def nothing_left_over(host: LibvirtHost) -> Iterator[None]:
    before = on_the_host(host)
    yield
    assert on_the_host(host) == before


def on_the_host(host: LibvirtHost) -> dict[str, Any]:
    """What a demo could leave or harm."""
    with host.connection() as libvirtd:
        domains = {domain.name() for domain in libvirtd.listAllDomains()}
        networks = {network.name() for network in libvirtd.listAllNetworks()}
    return {
        "domains": domains,
        "networks": networks,
        "interfaces": set(host.run("ls", "/sys/class/net").split()),
        "images": host.run("sh", "-c", f"mkdir -p {IMAGES}; find {IMAGES} -mindepth 1"),
        "forwarding": host.run("cat", "/proc/sys/net/ipv4/ip_forward"),
    }


def command(host: LibvirtHost, *words: str | Path) -> list[str]:
    return host.command(*VMCLONE, "demo", "--hypervisor", "kvm", *words)


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "VMCLONE_HOME": str(home), "VMCLONE_PORT": str(free_port())}


def test_five_guests_boot_and_what_a_killed_demo_left_goes_before(
    host: LibvirtHost, tmp_path: Path, guest: Path, somebodys: None
) -> None:
    """The killed one with an image that is given and boots nothing, the other with a guest that is
    built; Ctrl-C ends it."""
    home, image = tmp_path / "a home", tmp_path / "mine.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
    content = image.read_bytes()
    before = on_the_host(host)
    with running_demo(host, home, "--image", image) as killed:
        until(
            lambda: len(on_the_host(host)["domains"] - before["domains"]) > 1,
            "beside the source there is a clone",
            within_s=LIMIT_S,
        )
        os.kill(pid_of(host, killed), signal.SIGKILL)
        killed.wait(timeout=30)
    left = on_the_host(host)
    orphans = left["domains"] - before["domains"]
    assert orphans
    assert DEMO_BRIDGE in left["interfaces"]
    assert image.read_bytes() == content

    packages = home / "kvm-demo/guest/packages"  # downloaded before
    shutil.copytree(cache_folder() / "packages", packages)
    with running_demo(host, home) as served:
        said = lines_until(served, "serving until Ctrl-C")
        assert_all_are_who_they_are_told("".join(said))
        clones = on_the_host(host)["domains"] - before["domains"]
        assert len(clones) == 5
        assert not clones & orphans
        assert faults_by_the_doctor(host, home) <= {"host demo-host, KVM"}
        os.kill(pid_of(host, served), signal.SIGINT)
        assert served.wait(timeout=LIMIT_S) == 0
    assert os.listdir(home / "kvm-demo") == ["guest"]


def assert_all_are_who_they_are_told(said: str) -> None:
    assert "every guest boots and answers at its address" in said
    assert "BROKEN" not in said
    rows = [line.split() for line in said.splitlines() if line.startswith(" demo-")]
    assert [row[0] for row in rows] == [f"demo-{number}" for number in range(1, 6)]
    assert [row[4] for row in rows] == [row[0] for row in rows], "host names"
    assert len({row[5] for row in rows}) == 5, "machine-ids"


def faults_by_the_doctor(host: LibvirtHost, home: Path) -> set[str]:
    """Of the installation that the demo serves; nobody can accelerate its guests here."""
    done = subprocess.run(
        host.command(*VMCLONE, "doctor", "--json"),
        env=environment(home / "kvm-demo/home"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout, done.stderr
    return {check["what"] for check in json.loads(done.stdout) if not check["held"]}


@contextmanager
def running_demo(
    host: LibvirtHost, home: Path, *words: str | Path
) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        command(host, *words),
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def lines_until(demo: "subprocess.Popen[str]", wanted: str) -> list[str]:
    assert demo.stdout
    deadline_s = time.monotonic() + LIMIT_S
    seen = []
    for line in demo.stdout:
        seen.append(line)
        if wanted in line:
            return seen
        assert time.monotonic() < deadline_s, seen
    raise AssertionError("".join(seen))


def pid_of(host: LibvirtHost, demo: "subprocess.Popen[str]") -> int:
    """nsenter forks where it enters a namespace of processes."""
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
    return int(children[0]) if children else demo.pid


def refused(host: LibvirtHost, home: Path, *words: str | Path, **variables: str) -> str:
    """What it said, in a moment and before anything was made."""
    done = subprocess.run(
        host.command(
            "env",
            *(f"{name}={value}" for name, value in variables.items()),
            *VMCLONE,
            *("demo", "--hypervisor", "kvm", "--once"),
            *words,
        ),
        env=environment(home),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (home / "kvm-demo/home").exists()
    return done.stderr


def test_an_image_that_is_not_there(host: LibvirtHost, tmp_path: Path) -> None:
    gone = tmp_path / "gone.qcow2"
    assert f"{gone} is not there" in refused(host, tmp_path, "--image", gone)


def test_a_host_without_libvirts_binding(host: LibvirtHost, tmp_path: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    shadow.joinpath("libvirt.py").write_text("raise ImportError('libvirt.so.0: no such file')")
    said = refused(host, tmp_path, PYTHONPATH=str(shadow))
    assert "libvirt's Python binding cannot be loaded (libvirt.so.0: no such file)" in said
    assert "apt-get install libvirt-dev pkg-config gcc python3-dev" in said
    assert "pip install --require-hashes -r requirements-kvm.lock" in said


def test_a_host_without_qemu(host: LibvirtHost, tmp_path: Path, guest: Path) -> None:
    said = refused(host, tmp_path, "--image", guest, PATH="/nonexistent")
    assert "apt-get install qemu-system-x86" in said


def test_a_machine_that_cannot_build_a_guest(host: LibvirtHost, tmp_path: Path) -> None:
    said = refused(host, tmp_path, PATH="/nonexistent")
    assert "no apt-get" in said
    assert "--image FILE" in said


def test_a_libvirtd_that_does_not_run(host: LibvirtHost, tmp_path: Path, guest: Path) -> None:
    host.kill_libvirtd("TERM")
    try:
        said = refused(host, tmp_path, "--image", guest)
    finally:
        host.start_libvirtd()
    assert "libvirt does not answer" in said
    assert "systemctl start libvirtd" in said


def test_an_interface_of_somebody_elses_that_has_the_name(
    host: LibvirtHost, tmp_path: Path, guest: Path
) -> None:
    host.run("ip", "link", "add", DEMO_BRIDGE, "type", "bridge")
    try:
        said = refused(host, tmp_path, "--image", guest)
        assert f"network interface {DEMO_BRIDGE} that vmclone did not make" in said
    finally:
        host.run("ip", "link", "delete", DEMO_BRIDGE)


def test_a_folder_of_somebody_elses_that_has_the_name(
    host: LibvirtHost, tmp_path: Path, guest: Path
) -> None:
    theirs = f"{IMAGES}/vmclone-demo/theirs.raw"
    host.run("sh", "-c", f"mkdir -p $(dirname {theirs}); touch {theirs}")
    try:
        said = refused(host, tmp_path, "--image", guest)
        assert "was not made by the demo" in said
        host.run("test", "-e", theirs)
    finally:
        host.run("rm", "-r", str(Path(theirs).parent))


def test_a_port_that_is_taken_leaves_nothing(
    host: LibvirtHost, tmp_path: Path, guest: Path
) -> None:
    """The last thing that can go wrong before servers start."""
    with host.machine.network():
        taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        port = str(taken.getsockname()[1])
        said = refused(host, tmp_path, "--image", guest, VMCLONE_PORT=port)
    assert f"cannot listen on 127.0.0.1:{port}" in said


def test_one_demo_at_a_time(host: LibvirtHost, tmp_path: Path, guest: Path) -> None:
    folder = f"{IMAGES}/vmclone-demo"
    holder = subprocess.Popen(
        host.command(
            "sh", "-c", f"mkdir -p {folder}; exec flock {folder}/.vmclone-demo sh -c 'echo; cat'"
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout
        holder.stdout.readline()
        assert "runs on this host already" in refused(host, tmp_path, "--image", guest)
        holder.communicate("", timeout=20)
    host.run("rm", "-r", folder)
