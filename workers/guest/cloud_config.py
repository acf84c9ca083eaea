"""The documents of a NoCloud seed.

User data is the caller's alone, to the byte. What is ours stands in meta-data, in network-config
and in vendor-data, a cloud-config that user data overrides key by key; so what must happen moves
out of the caller's way where it would be overridden. Sources: cloud-init's manual on NoCloud,
vendor data, user data formats and network configuration version 2. Why it is so:
docs/guest-identity.md.
"""

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from functools import lru_cache
from ipaddress import ip_address, ip_interface
from typing import Any

import yaml

from app.domain.errors import InvalidArgument
from app.domain.guest import GuestIdentity, is_password_hash
from app.domain.plan import NicPlan

# libyaml's is five times as fast, and every clone has three documents.
_DUMPER: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_BOUNDARY = "==vmclone-vendor-data=="
# netplan calls these deprecated and takes them; written as routes, a default gateway needs the
# `route` program where cloud-init renders for ifupdown, and is lost in silence where that is not.
_GATEWAY = {4: "gateway4", 6: "gateway6"}

# A fresh instance-id renews the SSH host keys, but cloud-init leaves the machine-id alone.
# systemd-machine-id-setup takes D-Bus's own file for valid, so that goes first; it comes back as
# the link that it is on current systems.
_RENEW_MACHINE_ID = """\
new_id() { tr -d - < /proc/sys/kernel/random/uuid; }
if [ -e /etc/machine-id ]; then
    if [ -e /var/lib/dbus/machine-id ]; then
        rm -f /var/lib/dbus/machine-id
        ln -s /etc/machine-id /var/lib/dbus/machine-id
    fi
    : > /etc/machine-id
    systemd-machine-id-setup || new_id > /etc/machine-id
elif [ -e /var/lib/dbus/machine-id ]; then
    new_id > /var/lib/dbus/machine-id
fi
"""

# The keys of a cloud-config that mean the image's default user or bring users of their own.
_USER_KEYS = frozenset(
    {
        "users",
        "user",
        "password",
        "chpasswd",
        "ssh_authorized_keys",
        "ssh_import_id",
        "system_info",
    }
)


def documents(identity: GuestIdentity, nics: Sequence[NicPlan]) -> Mapping[str, bytes]:
    """By file name. Raises InvalidArgument for a password that is not hashed."""
    return {
        "meta-data": _yaml(_meta_data(identity)),
        "network-config": _yaml(_network(nics)),
        "user-data": base64.b64decode(identity.user_data or ""),
        "vendor-data": _vendor_data(identity.user_data, identity.root_password_hash),
    }


def _meta_data(identity: GuestIdentity) -> dict[str, Any]:
    content: dict[str, Any] = {
        "instance-id": identity.instance_id,
        "local-hostname": identity.hostname,
    }
    if identity.ssh_keys:
        content["public-keys"] = list(identity.ssh_keys)
    return content


@lru_cache(maxsize=8)  # a job's clones share it
def _vendor_data(user_data: str | None, root_password_hash: str | None) -> bytes:
    """The same bytes each time: the boundary is fixed, and in no part."""
    keys = _keys_of(user_data) if user_data is not None else frozenset()
    script = _script(root_password_hash)
    once = ["cloud-init-per", "instance", "vmclone-identity", "sh", "-c", script]
    config = _defaults(keys)
    if keys is not None and "bootcmd" not in keys:
        return _cloud_config(config | {"bootcmd": [once]})
    # A boothook runs as early, and has no key by which the caller's could take its place.
    message = MIMEMultipart(boundary=_BOUNDARY)
    boothook = f"#cloud-boothook\n#!/bin/sh\n{shlex.join(once)}\n"
    message.attach(MIMEText(boothook, "cloud-boothook", "us-ascii"))
    message.attach(MIMEText(_cloud_config(config).decode(), "cloud-config", "us-ascii"))
    return message.as_bytes()


def _script(root_password_hash: str | None) -> str:
    if root_password_hash is None:
        return _RENEW_MACHINE_ID
    if not is_password_hash(root_password_hash):
        raise InvalidArgument(
            "rootPassword is not hashed as it should be, so the guest cannot be told it; send the "
            "request again with a password that does not begin with $6$"
        )
    # Not by cloud-config: `chpasswd: {users: …}` is unknown to releases before 22.2, `{list: …}`
    # is reported as deprecated by later ones, and either goes where user data has its own.
    line = shlex.quote(f"root:{root_password_hash}")
    return _RENEW_MACHINE_ID + f"printf '%s\\n' {line} | chpasswd -e\n"


def _defaults(keys: frozenset[str] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"preserve_hostname": False, "ssh_deletekeys": True}
    if keys is not None and not keys & _USER_KEYS:
        # The source's users stay as they are. To cloud-init the clone is new: it would make the
        # image's default user again, lock its password, shut root out, and some images' own
        # `ssh_pwauth: false` would end password logins. Null leaves sshd as it is, in silence.
        content |= {"users": [], "disable_root": False, "ssh_pwauth": None}
    return content


def _keys_of(user_data: str) -> frozenset[str] | None:
    """Of a cloud-config, those at its top; a script has none. None where one cannot tell:
    archives, templates, several parts."""
    content = base64.b64decode(user_data).lstrip()
    start = content.splitlines()[0].split()[0].lower() if content else b""
    if start.startswith((b"#!", b"#cloud-boothook")):
        return frozenset()
    if start != b"#cloud-config":
        return None
    try:
        # Composed, not constructed: merge keys can make a document of a few bytes grow for ever.
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    keys = frozenset(key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode))
    return None if "<<" in keys else keys


def _network(nics: Sequence[NicPlan]) -> dict[str, Any]:
    ordered = sorted(nics, key=lambda nic: nic.device_id)
    default = _default_nics(ordered)
    return {
        "version": 2,
        # The key names nothing where netplan renders. Releases before 20.1 take it for the name
        # of the interface with other renderers, and `eth0` is the one that it mostly has there.
        "ethernets": {f"eth{nic.device_id}": _ethernet(nic, default) for nic in ordered},
    }


def _addresses(nic: NicPlan) -> Iterator[tuple[str, str | None]]:
    """(address with its prefix, its gateway); an address without a known subnet is left to DHCP."""
    if nic.ip is not None and nic.netmask is not None:
        yield ip_interface(f"{nic.ip}/{nic.netmask}").with_prefixlen, nic.gateway
    if nic.ip6 is not None and nic.prefix6 is not None:
        yield f"{nic.ip6}/{nic.prefix6}", nic.gateway6


def _default_nics(nics: Sequence[NicPlan]) -> dict[int, NicPlan]:
    """Of IPv4 and of IPv6, the first one that has a gateway: the VM's default NIC before the
    others, and those that are plugged in before those that are not."""
    first: dict[int, NicPlan] = {}
    for nic in sorted(nics, key=lambda nic: (not nic.is_default, not nic.link_up)):
        for _, gateway in _addresses(nic):
            if gateway is not None:
                first.setdefault(ip_address(gateway).version, nic)
    return first


def _ethernet(nic: NicPlan, default: Mapping[int, NicPlan]) -> dict[str, Any]:
    """Matched by its MAC and not renamed: names differ from guest to guest."""
    content: dict[str, Any] = {"match": {"macaddress": nic.mac.lower()}}
    addresses = list(_addresses(nic))
    if not addresses:
        # By its machine-id, which is still the source's then, a clone would get another's lease.
        return content | {"dhcp4": True, "dhcp-identifier": "mac"}
    content["addresses"] = [address for address, _ in addresses]
    for _, gateway in addresses:
        if gateway is not None and default[ip_address(gateway).version] == nic:
            content[_GATEWAY[ip_address(gateway).version]] = gateway
    if nic.dns:
        content["nameservers"] = {"addresses": list(nic.dns)}
    return content


def _cloud_config(content: Mapping[str, Any]) -> bytes:
    return b"#cloud-config\n" + _yaml(content)


def _yaml(content: Any) -> bytes:
    return yaml.dump(
        content, Dumper=_DUMPER, sort_keys=False, default_flow_style=None, width=1 << 20
    ).encode()
