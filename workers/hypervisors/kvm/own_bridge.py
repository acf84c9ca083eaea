"""A bridge of vmclone's own, with an address in a subnet that nothing else on this host uses.

A plain bridge and no network of libvirt's: that would bring firewall rules, and switch on the
host's forwarding for good. Who made it is told by its MAC address, which it has from its first
moment on.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Any

from app.domain.errors import AddressUnavailable, OperationFailed, ToolMissing

OWN_MAC = "02:76:6d:63:6c:6f"  # locally administered, and "vmclo"
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_INTERFACES = Path("/sys/class/net")
_POOLS = tuple(map(IPv4Network, ("192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8")))
_PREFIX = 24
_TAKEN_BY_HABIT = 200  # routers and libvirt's own networks mostly have the lower ones of a pool


def make(name: str, subnet: IPv4Network) -> None:
    """Up, with the subnet's first address. Raises ToolMissing, OperationFailed."""
    _ip("link", "add", name, "address", OWN_MAC, "type", "bridge", "forward_delay", "0")
    _ip("address", "add", f"{address_of(subnet)}/{subnet.prefixlen}", "dev", name)
    _ip("link", "set", name, "up")


def remove(name: str) -> None:
    """Absent is gone. Raises OperationFailed for one that somebody else made, or plugged his
    guests into."""
    interface = _INTERFACES / name
    if not interface.exists():
        return
    if (interface / "address").read_text().strip() != OWN_MAC:
        raise OperationFailed(
            f"this host has a network interface {name} that vmclone did not make; rename it"
        )
    if ports := sorted(port.name for port in (interface / "brif").iterdir()):
        raise OperationFailed(
            f"bridge {name} is vmclone's, and somebody else plugged {', '.join(ports)} into it; "
            "unplug that"
        )
    _ip("link", "delete", name)


def address_of(subnet: IPv4Network) -> IPv4Address:
    return subnet[1]


def free_subnet(used: Iterable[IPv4Network]) -> IPv4Network:
    """A private /24 that overlaps none of these. Raises AddressUnavailable."""
    taken = list(used)
    for pool in _POOLS:
        subnets = list(pool.subnets(new_prefix=_PREFIX))
        for subnet in subnets[_TAKEN_BY_HABIT:] + subnets[:_TAKEN_BY_HABIT]:
            if not any(subnet.overlaps(other) for other in taken):
                return subnet
    raise AddressUnavailable("every private subnet is in use on this host, or routed from it")


def routed_subnets() -> Iterator[IPv4Network]:
    """Those that this host is in or has a route to, but for the default one. Raises ToolMissing,
    OperationFailed."""
    for route in json.loads(_ip("-j", "-4", "route", "show", "table", "all") or "[]"):
        if route["dst"] != "default":
            yield IPv4Network(route["dst"], strict=False)
    for device in json.loads(_ip("-j", "-4", "address", "show") or "[]"):
        for found in device.get("addr_info", ()):
            yield _subnet(found)


def _subnet(address: dict[str, Any]) -> IPv4Network:
    found = ip_network(f"{address['local']}/{address['prefixlen']}", strict=False)
    assert isinstance(found, IPv4Network)
    return found


def _ip(*words: str) -> str:
    try:
        done = subprocess.run(
            ["ip", *words],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": PATH},
        )
    except FileNotFoundError as error:
        raise ToolMissing("`ip` is not on this machine: apt-get install iproute2") from error
    if done.returncode != 0:
        raise OperationFailed(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
