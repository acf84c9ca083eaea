"""Plain domains around the tiny guest, and seeds that are written by hand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.guest.build import MEMORY_MIB
from tests.kvm.libvirt_host import BRIDGE
from workers.guest.seed import make_seed

UEFI_MEMORY_MIB = 192  # with less, the kernel does not unpack itself beside OVMF
UEFI = (
    "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
    "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/>"
)
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


@dataclass(frozen=True, slots=True)
class Domain:
    """`disks` are virtio drives from vda on, raw where they are named so and qcow2 otherwise; the
    seed is a CD-ROM. Its serial port is logged to /var/log/libvirt/NAME.log."""

    name: str
    type: str  # "kvm" or "qemu"
    mac: str
    disks: Sequence[Path]
    seed: Path | None = None
    seed_bus: str = "sata"
    bridge: str = BRIDGE
    machine: str = "q35"
    memory_mib: int = MEMORY_MIB
    firmware: str = ""  # elements of <os>
    more: str = ""  # elements of <domain>
    devices: str = ""  # elements of <devices>

    def xml(self) -> str:
        drives = "".join(
            f"<disk type='file' device='disk'><source file='{path}'/>"
            f"<driver name='qemu' type='{'raw' if path.suffix == '.raw' else 'qcow2'}'/>"
            f"<target dev='vd{chr(ord('a') + number)}' bus='virtio'/></disk>"
            for number, path in enumerate(self.disks)
        )
        if self.seed:
            drives += (
                f"<disk type='file' device='cdrom'><source file='{self.seed}'/>"
                f"<driver name='qemu' type='raw'/><target dev='sda' bus='{self.seed_bus}'/>"
                "<readonly/></disk>"
            )
        return (
            f"<domain type='{self.type}'><name>{self.name}</name>"
            f"<memory unit='MiB'>{self.memory_mib}</memory><vcpu>1</vcpu>"
            f"<os><type arch='x86_64' machine='{self.machine}'>hvm</type>{self.firmware}</os>"
            f"<features><acpi/></features><clock offset='utc'/>{self.more}<devices>{drives}"
            f"<interface type='bridge'><source bridge='{self.bridge}'/>"
            # Nothing boots from the network: its ROM would take a second of each boot.
            f"<mac address='{self.mac}'/><model type='virtio'/><rom enabled='no'/></interface>"
            f"<serial type='pty'><log file='/var/log/libvirt/{self.name}.log'/></serial>"
            f"{self.devices}</devices></domain>"
        )


def write_seed(
    path: Path,
    *,
    instance_id: str,
    hostname: str,
    network: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    vendor: Mapping[str, Any] | None = None,
    keys: Sequence[str] = (),
) -> Path:
    """A NoCloud seed, its documents as JSON, which is YAML."""
    meta = {"instance-id": instance_id, "local-hostname": hostname, "public-keys": list(keys)}
    documents = {"meta-data": json.dumps(meta)}
    if network is not None:
        documents["network-config"] = json.dumps(network)
    for name, content in (("user-data", user), ("vendor-data", vendor)):
        documents[name] = f"#cloud-config\n{json.dumps(content or {})}"
    path.write_bytes(make_seed({name: text.encode() for name, text in documents.items()}))
    return path


def static_network(mac: str, ip: str, *, prefix: int = 24, gateway: str) -> dict[str, Any]:
    """Network configuration of version 2 for one NIC."""
    nic = {
        "match": {"macaddress": mac},
        "addresses": [f"{ip}/{prefix}"],
        "routes": [{"to": "0.0.0.0/0", "via": gateway}],
    }
    return {"version": 2, "ethernets": {"nic0": nic}}
