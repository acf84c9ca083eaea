"""A KVM host on this machine: a libvirtd with guests, bridge and state of its own.

libvirt runs without systemd, dbus and AppArmor, as root; guests are QEMU processes of the host's
namespaces and die with it.
"""

import http.client
import importlib.util
import json
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.guest.build import cache_folder
from tests.kvm.namespaces import Machine, machine
from tests.kvm.waiting import until
from tests.machine import PATH
from tests.requirements import require
from workers.hypervisors.kvm import accelerator

if TYPE_CHECKING:
    import libvirt

BRIDGE = "br0"
# A program that a host needs, and its Debian package.
PROGRAMS = {
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "libvirtd": "libvirt-daemon",
    "nsenter": "util-linux",
    "qemu-system-x86_64": "qemu-system-x86",
    "swtpm": "swtpm swtpm-tools",
    "virtlogd": "libvirt-daemon",
}
_OWN = (
    "etc/libvirt",
    "var/cache/libvirt",
    "var/lib/libvirt",
    "var/lib/swtpm-localca",
    "var/log/libvirt",
    "var/log/swtpm/libvirt",
)
_START_LIMIT_S = 60  # the first start asks QEMU for all that it can do
_QEMU_CONF_FILE = "/etc/libvirt/qemu.conf"
_CAPABILITIES = "/var/cache/libvirt/qemu/capabilities"
_UNBORN = re.compile(r"<domstatus [^>]* pid='0'>")
_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
host_uuid = "{host_uuid}"
"""
_QEMU_CONF = """\
user = "root"
group = "root"
swtpm_user = "root"
swtpm_group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
"""
_QEMU_USER = {
    "/etc/passwd": "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin",
    "/etc/group": "libvirt-qemu:x:64055:",
}


@dataclass(frozen=True, slots=True)
class LibvirtHost:
    machine: Machine
    address: str  # of its bridge

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def uri(self) -> str:
        """For a client outside; inside it is qemu:///system, as on any host."""
        return f"qemu+unix:///system?socket={self.machine.path('/run/libvirt/libvirt-sock')}"

    def run(self, *words: str | Path, timeout_s: float = 60) -> str:
        """What a command printed inside; AssertionError where it fails."""
        return self.machine.run(*words, timeout_s=timeout_s)

    def command(self, *words: str | Path) -> list[str]:
        """What starts `words` inside, for a process that lasts."""
        return self.machine.command(*words)

    @contextmanager
    def connection(self) -> "Iterator[libvirt.virConnect]":
        import libvirt

        with closing(libvirt.open(self.uri)) as opened:
            yield opened

    def get(
        self,
        ip: str,
        path: str = "/id.json",
        *,
        connect_s: float | None = None,
        timeout_s: float = 10,
    ) -> bytes:
        """By HTTP from inside; OSError or HTTPException where nobody answers well."""
        with self.machine.network():
            opened = socket.create_connection((ip, 80), connect_s or timeout_s)
        opened.settimeout(timeout_s)
        client = http.client.HTTPConnection(ip, timeout=timeout_s)
        client.sock = opened
        with closing(client):
            client.request("GET", path)
            answer = client.getresponse()
            content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"{ip}{path} answers {answer.status}")
        return content

    def identity(self, ip: str, *, within_s: float = 60) -> dict[str, Any]:
        """What the guest at that address says of itself, as soon as it does."""

        def ask() -> dict[str, Any] | None:
            with suppress(OSError, http.client.HTTPException):
                # One that just came up hears a new attempt sooner than a repeated one.
                said: dict[str, Any] = json.loads(self.get(ip, connect_s=0.5, timeout_s=2))
                return said
            return None

        said = until(ask, f"a guest at {ip} on {self.name} says who it is", within_s=within_s)
        assert said is not None
        return said

    def start_libvirtd(self) -> None:
        """Answers when libvirtd does."""
        import libvirt

        self.run("libvirtd", "--daemon")
        libvirt.registerErrorHandler(lambda *_: None, None)  # errors are raised, not printed

        def answers() -> bool:
            with suppress(libvirt.libvirtError), self.connection():
                return True
            return False

        until(answers, f"libvirtd on {self.name} answers", within_s=_START_LIMIT_S)

    def kill_libvirtd(self, signal: str = "KILL") -> None:
        """Its guests run on. Answers when it is gone."""
        process = self.machine.path("/run/libvirtd.pid").read_text().strip()
        self.run("sh", "-c", f"kill -s {signal} {process}")
        until(
            lambda: not self.machine.path(f"/proc/{process}").exists(),
            f"libvirtd on {self.name} ends",
            within_s=20,
        )

    def forget_unborn(self) -> None:
        """While libvirtd is down, what docs/kvm.md says to do about a domain whose QEMU it was
        about to start when it was killed: libvirt 9.0 takes it for a paused one for ever."""
        for status in self.machine.path("/run/libvirt/qemu").glob("*.xml"):
            if _UNBORN.search(status.read_text()):
                status.unlink()

    @contextmanager
    def configured(self, old: str, new: str) -> Iterator[None]:
        """With this in its qemu.conf, and libvirtd restarted before and after. What QEMU can do is
        asked anew when it runs as somebody else, and known again afterwards."""
        conf, capabilities = map(self.machine.path, (_QEMU_CONF_FILE, _CAPABILITIES))
        with tempfile.TemporaryDirectory() as kept:
            _remember_capabilities(capabilities, Path(kept))
            before = conf.read_text()
            conf.write_text(before.replace(old, new, 1))
            try:
                self.kill_libvirtd("TERM")
                self.start_libvirtd()
                yield
            finally:
                self.kill_libvirtd("TERM")
                conf.write_text(before)
                _remember_capabilities(Path(kept), capabilities)
                self.start_libvirtd()

    def add_network(self, name: str, *, bridge: str = "virbr1", net: str = "10.78.0") -> None:
        """A libvirt network whose guests get addresses 10 to 99 of `net` by DHCP.

        It is of the kind that wants no firewall rules, so no iptables is needed.
        """
        with self.connection() as libvirtd:
            network = libvirtd.networkDefineXML(
                f"<network><name>{name}</name><forward mode='open'/><bridge name='{bridge}'/>"
                f"<ip address='{net}.1' netmask='255.255.255.0'>"
                f"<dhcp><range start='{net}.10' end='{net}.99'/></dhcp></ip></network>"
            )
            network.create()


@contextmanager
def libvirt_host(
    folder: Path, name: str, *, address: str = "10.77.0.1", prefix: int = 24
) -> Iterator[LibvirtHost]:
    """A host whose libvirtd runs and whose bridge br0 has `address`. A second time on the same
    folder it is the same host after its power was off."""
    require_host()
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{folder}/{name}")
    with machine(
        folder, name, address=f"{address}/{prefix}", machine_id=identity.hex, own=_OWN
    ) as started:
        host = LibvirtHost(started, address)
        _configure(started, identity)
        _remember_capabilities(cache_folder() / "capabilities", started.path(_CAPABILITIES))
        _let_everybody_use_kvm(started)
        host.run("virtlogd", "--daemon")
        host.start_libvirtd()
        try:
            yield host
        finally:
            _remember_capabilities(started.path(_CAPABILITIES), cache_folder() / "capabilities")


def require_host() -> None:
    """Skips, or fails where all must be there, unless a host can be made here."""
    require(os.geteuid() == 0, "root, to make a host's namespaces")
    missing = [name for program, name in PROGRAMS.items() if not shutil.which(program, path=PATH)]
    require(not missing, f"what a KVM host needs (packages {' '.join(missing)})")
    require(importlib.util.find_spec("libvirt"), "libvirt-python (requirements-kvm.lock)")


def _configure(host: Machine, identity: uuid.UUID) -> None:
    folder = host.path("/etc/libvirt")
    folder.joinpath("libvirtd.conf").write_text(_LIBVIRTD_CONF.format(host_uuid=identity))
    folder.joinpath("qemu.conf").write_text(_QEMU_CONF)
    # Debian's libvirt starts only where the user is known that its guests would run as.
    for file, line in _QEMU_USER.items():
        accounts = host.path(file)
        if "libvirt-qemu:" not in (known := accounts.read_text()):
            accounts.write_text(f"{known}{line}\n")


def _let_everybody_use_kvm(host: Machine) -> None:
    """Where QEMU says that it can use KVM, and QEMU's user may not, libvirtd asks it again at each
    call, a second each time."""
    if not Path("/dev/kvm").exists():
        return
    device = os.stat("/dev/kvm").st_rdev
    host.run("mknod", "-m", "666", "/run/kvm", "c", str(os.major(device)), str(os.minor(device)))
    host.run("mount", "--bind", "/run/kvm", "/dev/kvm")


def told_accelerator(home: Path) -> Path:
    """An installation's home that knows already what a probe of this machine found."""
    accelerator.domain_type(cache_folder())
    home.mkdir(parents=True, exist_ok=True)
    known = cache_folder() / accelerator.REMEMBERED
    if known.exists():
        shutil.copy(known, home)
    return home


def _remember_capabilities(known: Path, place: Path) -> None:
    """What QEMU can do takes libvirtd seconds to find out; it looks itself whether that holds."""
    if known.is_dir():
        shutil.copytree(known, place, dirs_exist_ok=True)
