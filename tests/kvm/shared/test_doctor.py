"""The doctor on a host with a libvirtd of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kvm.domains import TPM, Domain
from tests.kvm.libvirt_host import BRIDGE
from tests.kvm.shared.place import LAN, NO_BRIDGE, Place
from tests.kvm.waiting import until

MAC = "52:54:00:00:00:01"
AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


def asked(here: Place, *words: str) -> tuple[int, dict[str, tuple[bool, str]]]:
    """The exit status, and by check whether it held and what was said."""
    done = here.stack.vmclone("doctor", "--json", *words)
    assert done.stdout, done.stderr
    checks: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, {c["what"]: (c["held"], c["text"]) for c in checks}


def image(here: Place, name: str) -> Path:
    path = here.folder / "images" / f"{name}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    return path


def test_a_host_has_what_it_needs_but_for_what_is_named(here: Place) -> None:
    until(
        lambda: "storage " + str(here.folder / "ps") in asked(here)[1], "its storage", within_s=30
    )
    with here.host.connection() as libvirtd:
        before = [domain.name() for domain in libvirtd.listAllDomains()]
    files = here.files("ps")
    status, checks = asked(here)
    storage = here.folder / "ps"
    assert status == 1, "a bridge is not there"
    assert {what for what, (held, _) in checks.items() if not held} - {"host h, KVM"} == {
        "host h, network l3-gone"
    }
    assert NO_BRIDGE in checks["host h, network l3-gone"][1]
    for what, said in {
        "host h, libvirt": "domains that are not vmclone's",
        "host h, qemu-img": "qemu-img",
        "host h, network l3": BRIDGE,
        "host h, network l3-lan": LAN,
        f"host h, images in {storage}": "a guest can use them",
        f"host h, image locks in {storage}": "are seen",
        f"storage {storage}": "reflinks",
    }.items():
        assert said in checks[what][1]
    with here.host.connection() as libvirtd:
        assert [domain.name() for domain in libvirtd.listAllDomains()] == before
    assert here.files("ps") == files, "the probe is gone"


def test_a_storage_that_qemu_may_not_use(here: Place) -> None:
    """QEMU of this host as another user, on a folder that is root's alone."""
    (here.folder / "ps").chmod(0o700)
    with here.host.configured('user = "root"', 'user = "nobody"'):
        status, checks = asked(here)
    held, text = checks[f"host h, images in {here.folder / 'ps'}"]
    assert not held
    assert "Permission denied" in text
    assert "give QEMU's user" in text
    assert status == 1


def test_a_libvirtd_that_is_away_is_said_to_be(here: Place) -> None:
    here.host.kill_libvirtd("TERM")
    try:
        status, checks = asked(here)
    finally:
        here.host.start_libvirtd()
    assert status == 1
    held, text = checks["host h, libvirt"]
    assert not held
    assert "is libvirtd running on this host?" in text


def test_a_stopped_source_is_described(here: Place, domain_type: str) -> None:
    path = image(here, "stopped")
    devices = TPM + "<sound model='ich9'/><graphics type='vnc' passwd='x'/>"
    with here.host.connection() as libvirtd:
        source = libvirtd.defineXML(
            Domain("stopped", domain_type, MAC, [path], devices=devices).xml()
        )
        here.declare_vm("stopped", path)
        status, checks = asked(here, "--source", "stopped")
        source.undefine()
    assert status == 0, checks
    assert "domain stopped, stopped" in checks["source"][1]
    assert checks["disk vda"] == (True, f"{path} (qcow2, disk)")
    assert "console has no password" in checks["note"][1]
    assert "empty one" in checks["TPM"][1]
    assert "stopped" in checks["guest"][1]


def test_a_source_that_cannot_be_cloned_says_why(here: Place, domain_type: str) -> None:
    path = image(here, "passed-through")
    hostdev = (
        "<hostdev mode='subsystem' type='pci' managed='no'><source>"
        "<address domain='0' bus='6' slot='2' function='0'/></source></hostdev>"
    )
    with here.host.connection() as libvirtd:
        source = libvirtd.defineXML(
            Domain("passed-through", domain_type, MAC, [path], devices=hostdev).xml()
        )
        here.declare_vm("passed-through", path)
        status, checks = asked(here, "--source", "passed-through")
        source.undefine()
    assert status == 1
    assert not checks["can be cloned"][0]
    assert "<devices/hostdev>" in checks["can be cloned"][1]


@pytest.mark.parametrize(
    ("name", "devices", "said"),
    [("no-channel", "", "not configured"), ("no-agent", AGENT, "not connected")],
)
def test_a_running_source_whose_agent_does_not_answer(
    here: Place, domain_type: str, name: str, devices: str, said: str
) -> None:
    path = image(here, name)
    here.declare_vm(name, path)
    with here.host.connection() as libvirtd:
        domain = Domain(name, domain_type, MAC, [path], devices=devices)
        running = libvirtd.createXML(domain.xml())
        status, checks = asked(here, "--source", name)
        running.destroy()
    assert status == 1
    held, text = checks["guest agent"]
    assert not held
    assert said in text
    assert "install and start qemu-guest-agent" in text


def test_a_source_that_nobody_knows(here: Place) -> None:
    done = here.stack.vmclone("doctor", "--source", "nobody")
    assert done.returncode == 1
    assert "vm[uuid or name:nobody] does not exist" in done.stderr
