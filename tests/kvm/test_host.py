"""Hosts that the other tests here stand on are whole and leave nothing."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kvm.libvirt_host import LibvirtHost, libvirt_host, require_host
from tests.kvm.namespaces import connect
from tests.kvm.waiting import until
from tests.requirements import require


def test_hosts_side_by_side_are_two_hosts_on_one_network(tmp_path: Path) -> None:
    require(shutil.which("busybox"), "busybox (package busybox-static)")
    with (
        libvirt_host(tmp_path / "a", "host-a", address="10.77.0.1") as one,
        libvirt_host(tmp_path / "b", "host-b", address="10.77.0.2") as other,
    ):
        connect(one.machine, other.machine)
        one.run("busybox", "ping", "-c", "1", "-W", "5", "10.77.0.2")
        assert one.run("hostname") != other.run("hostname")
        assert one.run("cat", "/etc/machine-id") != other.run("cat", "/etc/machine-id")
        one.add_network("of-one")
        with one.connection() as first, other.connection() as second:
            assert [network.name() for network in first.listAllNetworks()] == ["of-one"]
            assert second.listAllNetworks() == []


def test_a_host_remembers_when_its_power_was_off(tmp_path: Path) -> None:
    with libvirt_host(tmp_path / "a", "host-a") as host:
        host.add_network("lasting")
        known = host.run("cat", "/etc/machine-id")
    with libvirt_host(tmp_path / "a", "host-a") as host, host.connection() as libvirtd:
        (network,) = libvirtd.listAllNetworks()
        assert (network.name(), network.isActive()) == ("lasting", 0)
        assert host.run("cat", "/etc/machine-id") == known


HOST_OF_A_CHILD = """
import sys
from pathlib import Path
from tests.kvm.libvirt_host import libvirt_host
from tests.kvm.test_host import namespaces
with libvirt_host(Path(sys.argv[1]), "host-c") as host:
    host.add_network("lan")
    print(*namespaces(host), flush=True)
    if sys.argv[2] == "fails":
        raise RuntimeError
    if sys.argv[2] == "is killed":
        sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["ends", "fails", "is killed"])
def test_a_host_leaves_nothing(tmp_path: Path, how: str) -> None:
    require_host()
    child = subprocess.Popen(
        [sys.executable, "-c", HOST_OF_A_CHILD, str(tmp_path / "c"), how],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with child:
        assert child.stdout
        used = set(child.stdout.readline().split())
        assert len(used) == 3
        if how == "is killed":
            assert in_use() & used == used
            child.send_signal(signal.SIGKILL)
        child.wait(timeout=30)
    until(lambda: not in_use() & used, f"the namespaces {used} end", within_s=10)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


KINDS = ("mnt", "net", "pid")


def namespaces(host: LibvirtHost) -> list[str]:
    return host.run("readlink", *(f"/proc/self/ns/{kind}" for kind in KINDS)).split()


def in_use() -> set[str]:
    """Namespaces that any process of this machine is in."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        # It may have ended meanwhile.
        with suppress(OSError):
            found |= {os.readlink(process / "ns" / kind) for kind in KINDS}
    return found
