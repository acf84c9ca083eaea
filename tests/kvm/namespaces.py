"""A machine within this machine: namespaces of its own for mounts, network, processes and host
name, which end with the process that holds them, whatever becomes of the test."""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.machine import PATH

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

# The first process of the machine. What it mounts is seen by nobody else, and all processes that
# are started inside die with it: it ends when its standard input does, so with this process.
# Over /etc and /var lie folders of the machine's own, for what is written and for mount points; it
# sees none of the state that the programs named in `own` have on this machine.
# It ignores its children's ends, or daemons whose parents are gone would stay as zombies, and
# libvirt takes those for running guests.
_INIT = """
set -e
folder=$1 name=$2 address=$3 machine_id=$4
shift 4
for place in etc var/lib var/log var/cache; do
    mkdir -p "$folder/.over/$place" "$folder/.work/$place"
    over="lowerdir=/$place,upperdir=$folder/.over/$place,workdir=$folder/.work/$place"
    mount -t overlay "$name" -o "$over" "/$place"
done
for place in "$@"; do
    mkdir -p "/$place" "$folder/$place"
    mount --bind "$folder/$place" "/$place"
done
mount -t tmpfs run /run
mount -t sysfs sys /sys
hostname "$name"
echo "$machine_id" > /etc/machine-id
ip link set lo up
ip link add br0 type bridge
ip addr add "$address" dev br0
ip link set br0 up
echo ready
exec env --ignore-signal=CHLD cat
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is `own` to it lies in `folder` and lasts, /run is empty at each start, and everything
    else is this machine's."""

    name: str
    folder: Path
    holder: int  # the process that shares all of its namespaces but the one of processes

    def command(self, *words: str | Path) -> list[str]:
        """What starts `words` inside."""
        own = Path("/proc", str(self.holder), "ns")
        inside = [f"--{kind}={own / kind}" for kind in ("net", "uts")]
        # The mounts come last: the links of the others lie in this machine's /proc.
        inside += [f"--pid={own / 'pid_for_children'}", f"--mount={own / 'mnt'}"]
        return ["nsenter", *inside, "--", *(str(word) for word in words)]

    def run(self, *words: str | Path, timeout_s: float = 60) -> str:
        """What it printed; AssertionError where it fails."""
        return run(self.command(*words), timeout_s=timeout_s)

    def path(self, inside: str) -> Path:
        """From outside, a path of the machine's."""
        return Path(f"/proc/{self.holder}/root{inside}")

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread opens meanwhile are the machine's; they stay so."""
        with (
            open("/proc/thread-self/ns/net", "rb") as here,
            open(f"/proc/{self.holder}/ns/net", "rb") as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())


@contextmanager
def machine(
    folder: Path, name: str, *, address: str, machine_id: str, own: Sequence[str]
) -> Iterator[Machine]:
    """A machine with a bridge br0 that has `address` ("10.77.0.1/24"). When this ends, no process,
    mount, bridge or namespace of it is left.

    `own`: folders ("etc/libvirt") that it has for itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ["unshare", "--mount", "--net", "--uts", "--pid", "--kill-child", "--mount-proc"]
    words += ["sh", "-c", _INIT, "sh", str(folder), name, address, machine_id, *own]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": PATH},
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stderr
        try:
            if holder.stdout.readline() != "ready\n":
                raise AssertionError(f"machine {name} did not start: {holder.stderr.read()}")
            yield Machine(name, folder, holder.pid)
        finally:
            # The kernel ends all that runs inside before the first process is gone, and the holder
            # waits for that.
            holder.stdin.close()
            try:
                holder.wait(timeout=15)
            except subprocess.TimeoutExpired:
                holder.kill()


def connect(one: Machine, other: Machine) -> None:
    """Both bridges are one network from now on, as of two hosts on one switch."""
    ends = ["netns", str(one.holder), "type", "veth", "peer", "name", f"to-{one.name}"[:15]]
    names = {one: f"to-{other.name}"[:15], other: f"to-{one.name}"[:15]}
    run(["ip", "link", "add", names[one], *ends, "netns", str(other.holder)])
    for side, name in names.items():
        side.run("ip", "link", "set", name, "master", "br0", "up")


def run(words: Sequence[str], *, timeout_s: float = 60) -> str:
    done = subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
