"""The demo's source VM: its files, and the document that declares it."""

import json
from dataclasses import dataclass
from pathlib import Path

from app.endpoints import database_url
from app.settings import Settings
from app.store.inventory.values import Kind
from app.store.session import Database
from workers.ops.demo.images import sample, write_qcow2, write_raw
from workers.ops.inventory.commands import apply

MIB = 1 << 20
VM_NAME = "golden"
_ROOT_BYTES = 64 * MIB
_DATA_BYTES = 8 * MIB

# Room for thousands of runs: addresses, memory and declared bytes cost nothing here.
_DOCUMENT = """\
# What `vmclone demo` declares. `hypervisorType: Simulator` makes real files and no domains.
zones: [{{name: demo-zone}}]
clusters: [{{name: demo, zone: demo-zone, hypervisorType: Simulator}}]
hosts:
  - {{name: demo-host, cluster: demo, managementIp: 127.0.0.1, cpuNum: 65536, memorySize: 64TiB}}
primaryStorage:
  - {{name: demo-storage, type: LocalStorage, url: {storage}, clusters: [demo], capacity: 1TiB}}
l3Networks:
  - name: demo-network
    zone: demo-zone
    bridge: br-demo
    dns: [10.20.0.1]
    ipRanges:
      - startIp: 10.20.0.10
        endIp: 10.20.255.250
        netmask: 255.255.0.0
        gateway: 10.20.0.1
vmInstances:
  - name: golden
    cluster: demo
    host: demo-host
    state: Stopped
    cpuNum: 1
    memorySize: 128MiB
    volumes:
      - {{type: Root, primaryStorage: demo-storage, path: {root}}}
      - {{type: Data, primaryStorage: demo-storage, path: {data}, format: raw}}
    nics: [{{l3Network: demo-network}}]
"""


@dataclass(frozen=True, slots=True)
class Source:
    vm_uuid: str
    files: tuple[Path, ...]  # by device id: the root volume, then the data volume


def prepare(settings: Settings) -> Source:
    """A source VM that is declared and whose files are there; found again by later runs."""
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    files = _write_images(folder)
    document = folder / "inventory.yaml"
    # A JSON string is a YAML string, whatever characters the path has.
    paths = {
        "storage": json.dumps(str(folder / "ps-1")),
        "root": json.dumps(str(files[0])),
        "data": json.dumps(str(files[1])),
    }
    document.write_text(_DOCUMENT.format(**paths))
    database = Database(database_url(settings))
    try:
        applied = apply(database, settings, document)
    finally:
        database.close()
    uuids = {(kind, name): uuid for kind, name, uuid in applied.entries}
    return Source(uuids[Kind.VM, VM_NAME], files)


def _write_images(folder: Path) -> tuple[Path, Path]:
    root, data = folder / "golden-root.qcow2", folder / "golden-data.raw"
    if not root.exists():
        content = sample("root volume", _ROOT_BYTES, extents=48, extent_bytes=MIB // 4)
        write_qcow2(root, _ROOT_BYTES, content)
    if not data.exists():
        content = sample("data volume", _DATA_BYTES, extents=8, extent_bytes=MIB // 4)
        write_raw(data, _DATA_BYTES, content)
    return root, data
