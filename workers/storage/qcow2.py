"""The qcow2 format: empty images written by our own code, headers read and judged.

A guest can write any header into a disk it owns, so a header is believed only as far as the
inventory declares it: a backing file, a data file or a key that nobody declared is refused.
Source: QEMU's docs/interop/qcow2.txt.
"""

import os
import struct
from dataclasses import dataclass

from app.domain.errors import OperationFailed, SourceVolumeInvalid
from app.domain.plan import BackingFile, VolumeFormat

MAGIC = b"QFI\xfb"
CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
L2_COVERS = (CLUSTER // 8) * CLUSTER  # bytes of the disk that one L1 entry stands for
SECTOR = 512
MAX_BACKING_NAME = 1023
MAX_L1_BYTES = 32 << 20  # QEMU opens no larger table

DIRTY, CORRUPT, EXTERNAL_DATA, COMPRESSION_TYPE, EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN_INCOMPATIBLE = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2
_END_EXTENSION = 0
_BACKING_FORMAT = 0xE2792ACA
_BITMAPS = 0x23852875

_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Header:
    version: int
    cluster_bits: int
    virtual_size: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    snapshots: int
    incompatible: int
    backing_name: str | None
    backing_format: str | None  # as QEMU names it; None where the header does not say
    has_bitmaps: bool

    @property
    def cluster(self) -> int:
        return 1 << self.cluster_bits

    @property
    def l2_entry_size(self) -> int:
        return 16 if self.incompatible & EXTENDED_L2 else 8

    @property
    def l2_entries(self) -> int:
        return self.cluster // self.l2_entry_size

    @property
    def l2_covers(self) -> int:
        """Bytes of the disk that one L2 table stands for."""
        return self.l2_entries * self.cluster


def write_overlay(
    descriptor: int, virtual_size: int, backing_path: str, backing_format: VolumeFormat
) -> None:
    """Make the empty file an empty qcow2 version 3 image on top of `backing_path`.

    Raises OperationFailed for what no qcow2 file can be.
    """
    _write(descriptor, virtual_size, backing_path, backing_format)


def write_empty(descriptor: int, virtual_size: int) -> None:
    """Make the empty file a qcow2 version 3 image of zeros that stands on nothing. Raises
    OperationFailed for what no qcow2 file can be."""
    _write(descriptor, virtual_size, None, None)


def _write(
    descriptor: int,
    virtual_size: int,
    backing_path: str | None,
    backing_format: VolumeFormat | None,
) -> None:
    """Three pages take room on disk: header, refcount table and refcount block; the L1 table is a
    hole. `virtual_size` is rounded up to whole sectors, as QEMU does."""
    name = os.fsencode(backing_path or "")
    size = -(-virtual_size // SECTOR) * SECTOR
    l1_entries = -(-size // L2_COVERS)
    if len(name) > MAX_BACKING_NAME or l1_entries * 8 > MAX_L1_BYTES:
        what = f"linked clone of {backing_path}" if backing_path else "new disk"
        raise OperationFailed(
            f"no {what} with {virtual_size} bytes can be made: qcow2 allows "
            f"paths of {MAX_BACKING_NAME} bytes and volumes of {MAX_L1_BYTES // 8 * L2_COVERS} "
            "bytes; choose cloneMode::full or a smaller size"
        )
    used = 3 + -(-l1_entries * 8 // CLUSTER)
    os.ftruncate(descriptor, used * CLUSTER)
    os.pwrite(descriptor, _head(size, l1_entries, name, backing_format), 0)
    os.pwrite(descriptor, struct.pack(">Q", 2 * CLUSTER), CLUSTER)  # refcount table: one block
    os.pwrite(descriptor, struct.pack(f">{used}H", *[1] * used), 2 * CLUSTER)


def _head(size: int, l1_entries: int, name: bytes, backing_format: VolumeFormat | None) -> bytes:
    extensions = b""
    if backing_format is not None:
        format_name = backing_format.encode()
        extensions = _EXTENSION.pack(_BACKING_FORMAT, len(format_name))
        extensions += format_name.ljust(-(-len(format_name) // 8) * 8, b"\0")
    extensions += _EXTENSION.pack(_END_EXTENSION, 0)
    header_length = _V2.size + _V3.size
    return (
        _V2.pack(
            MAGIC,
            3,
            header_length + len(extensions) if name else 0,
            len(name),
            CLUSTER_BITS,
            size,
            0,  # no encryption
            l1_entries,
            3 * CLUSTER,  # the L1 table
            CLUSTER,  # the refcount table
            1,
            0,  # no snapshots
            0,
        )
        + _V3.pack(0, 0, 0, 4, header_length)  # 16-bit refcounts
        + extensions
        + name
    )


def read_header(descriptor: int, path: str) -> Header:
    """Raises SourceVolumeInvalid where the file is no qcow2 file that can be understood."""
    content = os.pread(descriptor, CLUSTER, 0)
    if content[:4] != MAGIC:
        raise SourceVolumeInvalid(
            f"{path} is declared qcow2 and does not begin as one; is its format raw?"
        )
    if len(content) < _V2.size:
        raise _invalid(path, "it ends within its header")
    (
        _,
        version,
        backing_offset,
        backing_length,
        cluster_bits,
        size,
        encryption,
        l1_entries,
        l1_offset,
        refcount_offset,
        refcount_clusters,
        snapshots,
        _,
    ) = _V2.unpack_from(content)
    if version not in (2, 3):
        raise _invalid(path, f"its version {version} is not known")
    incompatible, header_length = 0, _V2.size
    if version == 3:
        if len(content) < _V2.size + _V3.size:
            raise _invalid(path, "it ends within its header")
        incompatible, _, _, _, header_length = _V3.unpack_from(content, _V2.size)
    backing_name = None
    if backing_offset:
        if backing_length > MAX_BACKING_NAME or backing_offset + backing_length > len(content):
            raise _invalid(path, "its backing file's name lies outside of its header")
        backing_name = os.fsdecode(content[backing_offset : backing_offset + backing_length])
    extensions = _extensions(content, header_length)
    return Header(
        version=version,
        cluster_bits=cluster_bits,
        virtual_size=size,
        encryption=encryption,
        l1_entries=l1_entries,
        l1_offset=l1_offset,
        refcount_table_offset=refcount_offset,
        refcount_table_clusters=refcount_clusters,
        snapshots=snapshots,
        incompatible=incompatible,
        backing_name=backing_name,
        backing_format=extensions.get(_BACKING_FORMAT, b"").decode(errors="replace") or None,
        has_bitmaps=_BITMAPS in extensions,
    )


def check_header(header: Header, path: str, file_size: int, backing: BackingFile | None) -> None:
    """Raises SourceVolumeInvalid unless the header says what is declared: nothing below it, or
    exactly `backing`."""
    if header.incompatible & EXTERNAL_DATA:
        raise _invalid(path, "its data lies in another file, which nobody declared")
    if header.incompatible & CORRUPT:
        raise _invalid(path, "it is marked corrupt; see `qemu-img check`")
    if header.incompatible & DIRTY:
        raise _invalid(path, "it was not closed cleanly; repair it with `qemu-img check -r all`")
    if header.incompatible & ~_KNOWN_INCOMPATIBLE:
        raise _invalid(path, f"it uses features that are not known ({header.incompatible:#x})")
    if header.encryption:
        raise _invalid(path, "it is encrypted")
    _check_geometry(header, path, file_size)
    _check_backing(header.backing_name, path, backing)


def _check_geometry(header: Header, path: str, file_size: int) -> None:
    if not 9 <= header.cluster_bits <= 21:
        raise _invalid(path, f"its clusters have 2^{header.cluster_bits} bytes")
    needed = -(-header.virtual_size // header.l2_covers)
    if header.l1_entries < needed or header.l1_entries * 8 > MAX_L1_BYTES:
        raise _invalid(
            path,
            f"its virtual size of {header.virtual_size} bytes does not go with "
            f"{header.l1_entries} L1 entries",
        )
    if header.refcount_table_clusters == 0:
        raise _invalid(path, "it has no refcount table")
    tables = (
        (header.l1_offset, header.l1_entries * 8),
        (header.refcount_table_offset, header.refcount_table_clusters * header.cluster),
    )
    end = -(-file_size // header.cluster) * header.cluster
    for offset, length in tables:
        if offset % header.cluster or offset + length > end:
            raise _invalid(path, f"it is truncated: {file_size} bytes end before its tables do")


def _check_backing(name: str | None, path: str, declared: BackingFile | None) -> None:
    if name is None:
        if declared is not None:
            raise _invalid(path, f"it stands on nothing, but {declared.path} is declared below it")
        return
    if ":" in name.split("/", 1)[0]:
        raise _invalid(path, f"its header names a backing file by a protocol ({name[:100]!r})")
    target = os.path.normpath(os.path.join(os.path.dirname(path), name))
    if declared is None or os.path.normpath(declared.path) != target:
        expected = f"only {declared.path} is" if declared else "none is"
        raise _invalid(
            path,
            f"its header names the backing file {target!r}, but {expected} declared; declare the "
            "whole chain in the inventory (backing:) if it is yours",
        )


def _extensions(content: bytes, offset: int) -> dict[int, bytes]:
    """Their data by their kind."""
    found: dict[int, bytes] = {}
    while offset + _EXTENSION.size <= len(content):
        kind, length = _EXTENSION.unpack_from(content, offset)
        if kind == _END_EXTENSION:
            break
        offset += _EXTENSION.size
        found[kind] = content[offset : offset + length]
        offset += -(-length // 8) * 8
    return found


def _invalid(path: str, what: str) -> SourceVolumeInvalid:
    return SourceVolumeInvalid(f"{path} cannot be used: {what}")
