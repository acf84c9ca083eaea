"""What becomes of each element of a source's domain in its clones: the one table.

docs/kvm.md shows it. An element that is not here is dropped from the domain itself, with a note in
the log, and refused among the devices: what it is to the guest nobody has decided yet.
Source: libvirt's domain XML format.
"""

from dataclasses import dataclass
from enum import StrEnum


class Treatment(StrEnum):
    KEPT = "kept"
    REWRITTEN = "rewritten"
    DROPPED = "dropped"
    REFUSED = "refused"
    PINNED = "kept when asked"  # CPU pinning


@dataclass(frozen=True, slots=True)
class Rule:
    treatment: Treatment
    why: str


def _kept(why: str = "the guest is to be the same machine") -> Rule:
    return Rule(Treatment.KEPT, why)


def _rewritten(why: str) -> Rule:
    return Rule(Treatment.REWRITTEN, why)


def _dropped(why: str) -> Rule:
    return Rule(Treatment.DROPPED, why)


def _refused(why: str) -> Rule:
    return Rule(Treatment.REFUSED, why)


_PINNED = Rule(Treatment.PINNED, "clones pinned to the source's CPUs would crowd them")

DOMAIN: dict[str, Rule] = {
    "name": _rewritten("the clone's uuid: names are unique on a host"),
    "uuid": _rewritten("the clone's own"),
    "title": _rewritten("the clone's name"),
    "description": _dropped("the clone's is in the inventory"),
    "metadata": _rewritten("vmclone's own element alone: others' describe the source"),
    "genid": _rewritten("a fresh one, where the source has one"),
    "memory": _rewritten("as the clone's row says"),
    "currentMemory": _rewritten("all of the memory"),
    "maxMemory": _kept(),
    "memoryBacking": _kept(),
    "memtune": _kept(),
    "vcpu": _rewritten("as the clone's row says; pinned to CPUs only when asked"),
    "vcpus": _dropped("it names each vCPU of a number that the clone's row decides"),
    "iothreads": _kept(),
    "iothreadids": _kept(),
    "cputune": _PINNED,
    "numatune": _PINNED,
    "resource": _dropped("a cgroup of the source's"),
    "blkiotune": _dropped("it names the source's devices"),
    "sysinfo": _rewritten("without the source's uuids and serials"),
    "os": _rewritten("with a firmware state of its own"),
    "features": _kept(),
    "cpu": _kept(),
    "clock": _kept(),
    "on_poweroff": _kept(),
    "on_reboot": _kept(),
    "on_crash": _kept(),
    "on_lockfailure": _kept(),
    "pm": _kept(),
    "keywrap": _kept(),
    "devices": _rewritten("by the table below"),
    "seclabel": _dropped("a static label is the source's; libvirt makes one for each domain"),
    "perf": _dropped("it watches the source"),
    "idmap": _dropped("of containers"),
    "launchSecurity": _refused("an encrypted guest's memory is bound to its launch"),
    "commandline": _refused("nobody knows what QEMU's own arguments name"),
    "override": _refused("nobody knows what QEMU's own properties name"),
    "capabilities": _refused("nobody knows what QEMU's own capabilities change"),
    "deprecation": _dropped("it says what the source may use"),
}

DEVICES: dict[str, Rule] = {
    "emulator": _dropped("libvirt knows this host's"),
    "disk": _rewritten("the clone's volumes; its seed in a drive; others' images stay out"),
    "controller": _kept("slots stay where they are"),
    "interface": _rewritten("the clone's MAC, network and tap"),
    "serial": _rewritten("a terminal of its own; the source's file or socket stays its own"),
    "parallel": _rewritten("as serial"),
    "console": _rewritten("as serial"),
    "channel": _rewritten("a socket of its own"),
    "input": _kept(),
    "graphics": _rewritten("a free port, no password of the source's"),
    "video": _kept(),
    "sound": _kept(),
    "audio": _kept(),
    "rng": _kept(),
    "memballoon": _kept(),
    "watchdog": _kept(),
    "panic": _kept(),
    "hub": _kept(),
    "iommu": _kept(),
    "crypto": _kept(),
    "memory": _kept(),
    "redirdev": _kept(),
    "redirfilter": _kept(),
    "smartcard": _kept(),
    "tpm": _rewritten("a state of its own: copied, or fresh"),
    "vsock": _rewritten("a context id of its own"),
    "hostdev": _refused("a device of the host can be in one guest only"),
    "filesystem": _refused("a folder of the host would be shared with the source"),
    "shmem": _refused("memory would be shared with the source"),
    "lease": _refused("the lock would be the source's"),
    "nvram": _kept("a model, without content"),
}
