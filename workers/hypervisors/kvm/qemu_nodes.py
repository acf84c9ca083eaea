"""QEMU asked and told past libvirt: only about an overlay of ours that libvirt lost sight of when
it was killed in the middle of a snapshot or a pivot, and which it has no call for.

Source: QEMU's QMP reference, block-commit, job-complete, blockdev-del; tried with libvirt 9.0.
"""

import json
from collections.abc import Iterator
from typing import Any

import libvirt
import libvirt_qemu

from app.domain.errors import OperationFailed
from app.domain.snapshots import BlockJob, FrozenDisk, Place


def place_of(domain: libvirt.virDomain, disk: FrozenDisk) -> Place:
    for device in _ask(domain, "query-block"):
        layers = list(_layers(device.get("inserted", {}).get("image")))
        depth = next((n for n, name in enumerate(layers) if disk.overlay_uuid in name), None)
        if depth is not None:
            return Place.BELOW if depth else Place.TOP
    return Place.LOOSE if _nodes(domain, disk.overlay_uuid) else Place.NONE


def job_of(domain: libvirt.virDomain, disk: FrozenDisk) -> BlockJob:
    for job in _ask(domain, "query-block-jobs"):
        if job["device"] == _job_name(disk):
            return BlockJob.READY if job["ready"] else BlockJob.RUNNING
    return BlockJob.NONE


def commit(domain: libvirt.virDomain, disk: FrozenDisk) -> None:
    overlay, base = _top_node(domain, disk), _base_node(domain, disk)
    _ask(
        domain, "block-commit", **{"job-id": _job_name(disk), "device": overlay, "base-node": base}
    )


def pivot(domain: libvirt.virDomain, disk: FrozenDisk) -> None:
    _ask(domain, "job-complete", id=_job_name(disk))


def close(domain: libvirt.virDomain, disk: FrozenDisk) -> None:
    """Formats before the files that they stand on: a node in use is refused."""
    for is_file in (False, True):
        for node in _nodes(domain, disk.overlay_uuid):
            if (node["drv"] == "file") is is_file:
                _ask(domain, "blockdev-del", **{"node-name": node["node-name"]})


def _job_name(disk: FrozenDisk) -> str:
    return f"vmclone-{disk.overlay_uuid}"


def _layers(image: dict[str, Any] | None) -> Iterator[str]:
    while image is not None:
        yield image["filename"]
        image = image.get("backing-image")


def _nodes(domain: libvirt.virDomain, name: str) -> list[dict[str, Any]]:
    """Those whose file's name has this in it."""
    return [n for n in _ask(domain, "query-named-block-nodes", flat=True) if name in n["file"]]


def _top_node(domain: libvirt.virDomain, disk: FrozenDisk) -> str:
    return _node(domain, disk.overlay_path, "qcow2")


def _base_node(domain: libvirt.virDomain, disk: FrozenDisk) -> str:
    return _node(domain, disk.base.path, disk.base.format)


def _node(domain: libvirt.virDomain, path: str, driver: str) -> str:
    for node in _nodes(domain, path):
        if node["drv"] == driver and node["file"] == path:
            return str(node["node-name"])
    raise OperationFailed(f"QEMU has {path} not open as {driver}")


def _ask(domain: libvirt.virDomain, command: str, **arguments: Any) -> Any:
    said = libvirt_qemu.qemuMonitorCommand(
        domain, json.dumps({"execute": command, "arguments": arguments}), 0
    )
    answer = json.loads(said)
    if "error" in answer:
        raise OperationFailed(f"QEMU refuses {command}: {answer['error']['desc']}")
    return answer["return"]
