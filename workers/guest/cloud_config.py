"""The documents of a NoCloud seed.

All that is ours stands in meta-data, network-config and vendor-data: user data is the caller's
alone and overrides it. Sources: cloud-init's documentation of NoCloud, of network configuration
version 2 and of vendor data.
"""

import base64
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

import yaml

from app.domain.guest import GuestIdentity
from app.domain.plan import NicPlan

# A fresh instance-id renews the SSH host keys, but cloud-init leaves the machine-id alone. Where
# dbus has a file of its own it becomes a link, as it is on every current system.
_RENEW_MACHINE_ID = (
    ": > /etc/machine-id; "
    "if [ -e /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then "
    "ln -sf /etc/machine-id /var/lib/dbus/machine-id; fi; "
    "systemd-machine-id-setup || dbus-uuidgen > /etc/machine-id"
)


def documents(identity: GuestIdentity, nics: Sequence[NicPlan]) -> Mapping[str, bytes]:
    """By file name."""
    return {
        "meta-data": _yaml(_meta_data(identity)),
        "network-config": _yaml(_network(nics)),
        "vendor-data": b"#cloud-config\n" + _yaml(_vendor_data(identity)),
        "user-data": _user_data(identity),
    }


def _meta_data(identity: GuestIdentity) -> dict[str, Any]:
    content: dict[str, Any] = {
        "instance-id": identity.instance_id,
        "local-hostname": identity.hostname,
    }
    if identity.ssh_keys:
        content["public-keys"] = list(identity.ssh_keys)
    return content


def _vendor_data(identity: GuestIdentity) -> dict[str, Any]:
    content: dict[str, Any] = {
        "bootcmd": [
            ["cloud-init-per", "instance", "vmclone-machine-id", "sh", "-c", _RENEW_MACHINE_ID]
        ],
        # The source's users stay as they are: a default user would be made, and root locked out.
        "users": [],
        "disable_root": False,
        "ssh_deletekeys": True,
        "preserve_hostname": False,
    }
    if identity.root_password_hash:
        content["ssh_pwauth"] = True
        # The form that old releases know as well.
        content["chpasswd"] = {"expire": False, "list": f"root:{identity.root_password_hash}"}
    return content


def _network(nics: Sequence[NicPlan]) -> dict[str, Any]:
    return {
        "version": 2,
        "ethernets": {f"nic{nic.device_id}": _ethernet(nic) for nic in nics},
    }


def _ethernet(nic: NicPlan) -> dict[str, Any]:
    """Matched by its MAC: names differ from guest to guest."""
    content: dict[str, Any] = {"match": {"macaddress": nic.mac}}
    if nic.ip is None or nic.netmask is None:
        return content | {"dhcp4": True}
    prefix = IPv4Network((nic.ip, nic.netmask), strict=False).prefixlen
    content["addresses"] = [f"{nic.ip}/{prefix}"]
    if nic.gateway and nic.device_id == 0:
        content["routes"] = [{"to": "0.0.0.0/0", "via": nic.gateway}]
    if nic.dns:
        content["nameservers"] = {"addresses": list(nic.dns)}
    return content


def _user_data(identity: GuestIdentity) -> bytes:
    if identity.user_data is None:
        return b"#cloud-config\n{}\n"
    return base64.b64decode(identity.user_data)


def _yaml(content: Any) -> bytes:
    return yaml.safe_dump(content, sort_keys=False, width=1 << 20).encode()
