"""Small images with content that is the same on every machine."""

import os
import random
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

CLUSTER = 64 << 10
_COPIED = 1 << 63  # the cluster's reference count is exactly one
_ENTRIES = CLUSTER // 8  # of an L2 table; one table is enough for 512 MiB

Content = Mapping[int, bytes]  # by offset; the rest reads as zeros


def sample(seed: str, size: int, *, extents: int, extent_bytes: int) -> dict[int, bytes]:
    """A readable marker at the beginning, then pseudo-random extents here and there."""
    rng = random.Random(seed)  # noqa: S311 - content, not secrets
    places = rng.sample(range(1, size // extent_bytes), extents)
    content = {n * extent_bytes: rng.randbytes(extent_bytes) for n in places}
    content[0] = f"vmclone demo: {seed}\n".encode()
    return content


def write_raw(path: Path, size: int, content: Content) -> None:
    """A sparse raw image."""
    with _new(path) as image:
        for offset, value in content.items():
            image.seek(offset)
            image.write(value)
        image.truncate(size)


def write_qcow2(path: Path, size: int, content: Content) -> None:
    """A qcow2 image of at most 512 MiB. Source: QEMU's docs/interop/qcow2, version 3."""
    clusters = _clusters(content)
    header, refcount_table, refcounts, l1, l2, first = range(6)
    count = first + len(clusters)
    l2_entries = [0] * _ENTRIES
    for number, guest_cluster in enumerate(clusters):
        l2_entries[guest_cluster] = (first + number) * CLUSTER | _COPIED
    tables = {
        header: _header(size, l1=l1 * CLUSTER, refcount_table=refcount_table * CLUSTER),
        refcount_table: struct.pack(">Q", refcounts * CLUSTER),
        refcounts: struct.pack(f">{count}H", *[1] * count),
        l1: struct.pack(">Q", l2 * CLUSTER | _COPIED),
        l2: struct.pack(f">{_ENTRIES}Q", *l2_entries),
    }
    with _new(path) as image:
        for number, table in tables.items():
            image.seek(number * CLUSTER)
            image.write(table)
        for number, cluster in enumerate(clusters.values()):
            image.seek((first + number) * CLUSTER)
            image.write(cluster)
        image.truncate(count * CLUSTER)


def _header(size: int, *, l1: int, refcount_table: int) -> bytes:
    version, cluster_bits, refcount_order, length = 3, CLUSTER.bit_length() - 1, 4, 104
    return struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", version, 0, 0, cluster_bits, size, 0, 1, l1, refcount_table, 1, 0, 0),
        *(0, 0, 0, refcount_order, length),
    )


def _clusters(content: Content) -> dict[int, bytes]:
    """Whole clusters by their number in the guest."""
    clusters: dict[int, bytearray] = {}
    for offset, value in content.items():
        for start in range(0, len(value), CLUSTER):
            number, inside = divmod(offset + start, CLUSTER)
            if inside:
                raise ValueError(f"content at {offset} does not begin with a cluster")
            part = value[start : start + CLUSTER]
            clusters.setdefault(number, bytearray(CLUSTER))[: len(part)] = part
    return {number: bytes(clusters[number]) for number in sorted(clusters)}


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is whole."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as image:
        yield image
        image.flush()
        os.fsync(image.fileno())
    part.rename(path)
