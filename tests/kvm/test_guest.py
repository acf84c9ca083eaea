"""The guest that the other tests here boot is what its seed says and no more."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from tests.guest.build import (
    MACHINE_ID,
    READY,
    ROOT_MARKER,
    ROOT_TREE,
    START_WORKLOAD,
    build_data,
)
from tests.kvm.domains import (
    TPM,
    Domain,
    static_network,
    write_seed,
)
from tests.kvm.libvirt_host import LibvirtHost
from tests.kvm.waiting import until
from tests.requirements import require

MAC, IP = "fa:00:00:00:00:01", "10.77.0.5"
GENERATION = "12345678-9abc-def0-1122-334455667788"
KEY = "ssh-ed25519 AAAAC3Nz someone@example"
DATA_MARKER = 'the "golden" data'
NEW_ID = "rm -f /var/lib/dbus/machine-id; : > /etc/machine-id; systemd-machine-id-setup"
VENDOR = {
    "bootcmd": [["cloud-init-per", "instance", "new-id", "sh", "-c", NEW_ID]],
    "runcmd": ["echo started > /dev/ttyS0", list(START_WORKLOAD)],
}


def test_a_guest_is_what_its_seed_says(
    host: LibvirtHost, guest: Path, domain_type: str, tmp_path: Path
) -> None:
    domain = Domain(
        "one",
        domain_type,
        MAC,
        disks(guest, tmp_path),
        seed(tmp_path),
        seed_bus="scsi",
        more=f"<genid>{GENERATION}</genid>",
        devices=TPM + "<controller type='scsi' index='0' model='virtio-scsi'/>",
    )
    with host.connection() as libvirtd:
        defined = libvirtd.defineXML(domain.xml())
        defined.create()
        said = host.identity(IP)
        assert said["hostname"] == "one"
        assert said["nics"] == [{"mac": MAC, "ip": IP}]
        assert said["uuid"] == defined.UUIDString()
        assert said["instance_id"] == "i-one"
        assert said["ssh_keys"] == [KEY]
        assert said["markers"] == {"root": ROOT_MARKER, "data": DATA_MARKER}
        assert said["machine_id"] not in {MACHINE_ID, None}
        assert said["boots"] == 1
        assert said["tpm"] is True
        assert said["vmgenid"] == UUID(GENERATION).bytes_le.hex()
        until(lambda: (host.identity(IP)["counts"]["data"] or 0) > 5, "the workload", within_s=20)
    host.kill_libvirtd()
    before = host.identity(IP)
    host.start_libvirtd()
    with host.connection() as libvirtd:
        (running,) = libvirtd.listAllDomains()
        after = host.identity(IP)
        assert after["counts"]["root"] > before["counts"]["root"]
        assert after["worst_gap_ms"] > 0
        running.shutdown()
        until(lambda: not running.isActive(), "the guest obeys ACPI", within_s=20)
        console = host.machine.path("/var/log/libvirt/one.log").read_text()
        assert console.index("started") < console.index(READY)


def disks(guest: Path, folder: Path) -> list[Path]:
    root = folder / "root.qcow2"
    shutil.copyfile(guest, root)
    return [root, build_data(folder, DATA_MARKER)]


def seed(folder: Path) -> Path:
    return write_seed(
        folder / "seed.iso",
        instance_id="i-one",
        hostname="one",
        network=static_network(MAC, IP, gateway="10.77.0.1"),
        vendor=VENDOR,
        keys=[KEY],
    )


DOCUMENTS: list[Any] = [
    {
        "bootcmd": [
            ["sh", "-c", "a; [ -e 'b' ] && c: \"d\" # e"],
            "echo x > /y",
            "one\ntwo\n\nthree",
        ]
    },
    {"users": [], "disable_root": False, "nothing": None, "chpasswd": {"list": "root:$6$x/y.z"}},
    {"ethernets": {"nic0": {"match": {"macaddress": "fa:00:00:00:00:01"}, "a": ["10.0.0.1/24"]}}},
    [{"a": [["b"], {"c": "- d"}]}, "'", "it's", " e ", "\tf", "\\}", "g:", "#h", "true", "~"],
]
WRITTEN = [
    '#cloud-config\n# said by hand\nbootcmd:\n  - [ sh, -c, "echo a, b" ]  # why\n  - echo c # d\n',
    "runcmd:\n- |\n  one\n    two\n\n  three\n- >-\n  four\n  five\nnext: {a: [b, 'c'], d: e}\n",
]


@pytest.mark.parametrize(
    "text",
    [
        *(yaml.safe_dump(document, width=1 << 20) for document in DOCUMENTS),
        *(json.dumps(document, indent=indent) for document in DOCUMENTS for indent in (None, 2)),
        *WRITTEN,
    ],
)
def test_the_guest_reads_yaml(text: str) -> None:
    require(shutil.which("busybox"), "busybox (package busybox-static)")
    said = subprocess.run(
        ["busybox", "awk", "-f", str(ROOT_TREE / "lib/guest/yaml.awk")],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.replace("\1", "\n").split("\t", 1) for line in said.splitlines()]
    assert [tuple(line) for line in lines] == list(scalars(yaml.safe_load(text)))


def scalars(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """What the guest makes of a document: each scalar by its path."""
    if isinstance(content, dict | list):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in pairs:
            yield from scalars(value, f"{path}/{key}" if path else str(key))
    else:
        yield path, content if isinstance(content, str) else json.dumps(content)
