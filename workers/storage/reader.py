"""Reads what a guest would read from an image, without QEMU: raw and qcow2, with their chains."""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import merge

from app.domain.errors import SourceVolumeInvalid
from app.domain.plan import BackingFile, VolumeFormat
from workers.storage.copy import data_ranges
from workers.storage.qcow2 import (
    COMPRESSION_TYPE,
    EXTENDED_L2,
    SECTOR,
    Header,
    check_header,
    read_header,
)

_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_ZERO = 1
_SUBCLUSTERS = 32

Entry = tuple[int, int]  # of an L2 table: the cluster's descriptor and its subclusters' bitmap


class Image:
    """One file of a chain, opened for reading. Opening raises SourceVolumeInvalid for a header
    that does not say what is declared."""

    virtual_size: int

    def __init__(self, file: BackingFile, below: "Image | None") -> None:
        self._file = file
        self._below = below
        self._header: Header | None = None
        self._l1: tuple[int, ...] = ()
        self._l2: tuple[int, Sequence[Entry]] = (-1, ())  # the table read last, and its number
        self._descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._open()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _open(self) -> None:
        size = os.fstat(self._descriptor).st_size
        if self._file.format is VolumeFormat.RAW:
            self.virtual_size = size
            return
        header = read_header(self._descriptor, self._file.path)
        check_header(header, self._file.path, size, self._below._file if self._below else None)
        self._header = header
        self.virtual_size = header.virtual_size
        table = os.pread(self._descriptor, header.l1_entries * 8, header.l1_offset)
        self._l1 = struct.unpack(
            f">{header.l1_entries}Q", table.ljust(header.l1_entries * 8, b"\0")
        )

    def close(self) -> None:
        os.close(self._descriptor)
        if self._below is not None:
            self._below.close()

    def read(self, offset: int, length: int) -> bytes:
        """As the guest sees it; zeroes beyond the end."""
        pieces = []
        while length > 0:
            piece = self._read_some(offset, length)
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def allocated(self) -> Iterator[tuple[int, int]]:
        """[start, end) of what some file of the chain holds, in order; the rest reads as zeroes."""
        below = self._below.allocated() if self._below else ()
        begun: tuple[int, int] | None = None
        for start, end in merge(self._own_ranges(), below):
            if begun is None or start > begun[1]:
                if begun is not None:
                    yield begun
                begun = (start, end)
            else:
                begun = (begun[0], max(begun[1], end))
        if begun is not None:
            yield begun

    def check_extent(self) -> None:
        """Raises SourceVolumeInvalid where a table or data of this file or of one below lies
        beyond its end."""
        size = os.fstat(self._descriptor).st_size
        for number, l1_entry in enumerate(self._l1):
            if max(l1_entry & _OFFSET, self._furthest(number)) >= size:
                raise SourceVolumeInvalid(
                    f"{self._file.path} is truncated: it refers to content beyond its {size} bytes"
                )
        if self._below is not None:
            self._below.check_extent()

    def _read_some(self, offset: int, length: int) -> bytes:
        """At least one byte, at most up to the end of a cluster."""
        if offset >= self.virtual_size:
            return bytes(length)
        length = min(length, self.virtual_size - offset)
        header = self._header
        if header is None:
            return os.pread(self._descriptor, length, offset).ljust(length, b"\0")
        number, inside = divmod(offset, header.l2_covers)
        table = self._table(number)
        index, within = divmod(inside, header.cluster)
        entry, bitmap = table[index] if table else (0, 0)
        if entry & _COMPRESSED:
            return self._decompressed(header, entry)[within : within + length]
        unit = header.cluster
        held, zero = bool(entry & _OFFSET), bool(header.version >= 3 and entry & _ZERO)
        if header.incompatible & EXTENDED_L2:
            unit //= _SUBCLUSTERS
            bit = within // unit
            held, zero = bool(bitmap >> bit & 1), bool(bitmap >> (_SUBCLUSTERS + bit) & 1)
        length = min(length, unit - within % unit)
        if zero:
            return bytes(length)
        if held:
            host = (entry & _OFFSET) + within
            return os.pread(self._descriptor, length, host).ljust(length, b"\0")
        return self._below.read(offset, length) if self._below else bytes(length)

    def _table(self, number: int) -> Sequence[Entry]:
        """An L2 table; empty where the whole range is not held."""
        header, host = self._header, self._l1[number] & _OFFSET
        if header is None or not host:
            return ()
        if self._l2[0] != number:
            content = os.pread(self._descriptor, header.cluster, host).ljust(header.cluster, b"\0")
            words = struct.unpack(f">{header.cluster // 8}Q", content)
            if header.incompatible & EXTENDED_L2:
                table = list(zip(words[::2], words[1::2], strict=True))
            else:
                table = [(word, 0) for word in words]
            self._l2 = (number, table)
        return self._l2[1]

    def _furthest(self, number: int) -> int:
        """How far into the file the clusters of an L2 table reach, at the least."""
        header = self._header
        if header is None:
            return 0
        return max((_reaches(header, entry) for entry, _ in self._table(number)), default=0)

    def _decompressed(self, header: Header, entry: int) -> bytes:
        if header.incompatible & COMPRESSION_TYPE:
            raise SourceVolumeInvalid(
                f"{self._file.path} is compressed with zstd, which only QEMU reads here; "
                "`qemu-img convert` makes a plain copy of it"
            )
        host, last_sector = _compressed_place(header, entry)
        content = os.pread(self._descriptor, last_sector + SECTOR - host, host)
        try:
            inflated = zlib.decompressobj(wbits=-15).decompress(content, header.cluster)
        except zlib.error:
            inflated = b""
        if len(inflated) < header.cluster:
            raise SourceVolumeInvalid(
                f"{self._file.path} is damaged: the compressed cluster at byte {host} cannot be "
                "read; put an intact copy in its place"
            )
        return inflated

    def _own_ranges(self) -> Iterator[tuple[int, int]]:
        header = self._header
        if header is None:
            yield from data_ranges(self._descriptor, self.virtual_size)
            return
        for number in range(len(self._l1)):
            for index, entry in enumerate(self._table(number)):
                start = number * header.l2_covers + index * header.cluster
                if any(entry) and start < self.virtual_size:
                    yield start, min(start + header.cluster, self.virtual_size)


def _compressed_place(header: Header, entry: int) -> tuple[int, int]:
    """Where the content begins, and the sector with its last byte."""
    offset_bits = 62 - (header.cluster_bits - 8)
    host = entry & ((1 << offset_bits) - 1)
    more_sectors = (entry & (_COMPRESSED - 1)) >> offset_bits
    return host, (host // SECTOR + more_sectors) * SECTOR


def _reaches(header: Header, entry: int) -> int:
    """The furthest offset that the file must hold for this cluster; 0 where it holds none."""
    if entry & _COMPRESSED:
        return max(_compressed_place(header, entry))
    return entry & _OFFSET


@contextmanager
def open_image(
    path: str, file_format: VolumeFormat, backing: Sequence[BackingFile] = ()
) -> Iterator[Image]:
    """`backing` are the declared files below, nearest first."""
    image: Image | None = None
    try:
        for file in [*reversed(backing), BackingFile(path, file_format)]:
            image = Image(file, image)
        assert image is not None
        yield image
    finally:
        if image is not None:
            image.close()
