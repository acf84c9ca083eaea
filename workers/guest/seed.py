"""The seed: an ISO 9660 image labelled cidata, which cloud-init's NoCloud and cloudbase-init read.

Written by our own code, because the same documents must give the same bytes whenever a step is
run again, and in a small part of the time that defining the clone takes. One folder, and its
files under the names that guests look for: in Rock Ridge (Linux) and in Joliet (Windows); the
plain names are of no interest. Sources: ECMA-119, SUSP 1.12, RRIP 1.10 and the Joliet
specification.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LABEL = "cidata"

SECTOR = 2048
_PRIMARY, _JOLIET, _TERMINATOR = 16, 17, 18  # sectors of the volume descriptors
_PATH_TABLES = 19  # four: little and big endian, of the primary volume and of Joliet's
_FOLDERS = 23  # two, likewise
_FILES = 25  # and on: each from a sector of its own

# The year 2000, for a folder must have some date: years since 1900, month, day.
_DATE = bytes([100, 1, 1, 0, 0, 0, 0])
_NO_DATE = b"0" * 16 + b"\0"
_IS_FOLDER = 2
_SELF, _PARENT = b"\0", b"\1"
_FOLDER_MODE, _FILE_MODE = 0o040500, 0o100400  # root's alone: a seed may hold a password's hash


@dataclass(frozen=True, slots=True)
class _File:
    plain: bytes
    name: str
    content: bytes
    sector: int


def make_seed(documents: Mapping[str, bytes]) -> bytes:
    """The image, with one file for each document; the same bytes for the same documents."""
    files = tuple(_placed(documents))
    end = max((f.sector + _sectors(f.content) for f in files), default=_FILES)
    image = bytearray(end * SECTOR)
    structure = {
        _PRIMARY: _descriptor(1, end, joliet=False),
        _JOLIET: _descriptor(2, end, joliet=True),
        _TERMINATOR: b"\xffCD001\1",
        **{_PATH_TABLES + n: table for n, table in enumerate(_path_tables())},
        _FOLDERS: _folder(_FOLDERS, _plain_records(files)),
        _FOLDERS + 1: _folder(_FOLDERS + 1, _joliet_records(files)),
        **{f.sector: f.content for f in files},
    }
    for sector, content in structure.items():
        image[sector * SECTOR : sector * SECTOR + len(content)] = content
    return bytes(image)


def _placed(documents: Mapping[str, bytes]) -> Iterator[_File]:
    sector = _FILES
    for number, (name, content) in enumerate(sorted(documents.items())):
        yield _File(f"DOC{number:05}.;1".encode(), name, content, sector)
        sector += _sectors(content)


def _sectors(content: bytes) -> int:
    return max(1, -(-len(content) // SECTOR))


def _folder(sector: int, records: Sequence[bytes]) -> bytes:
    """No record may cross a sector's end, and one sector holds all that a seed has."""
    content = b"".join(records)
    assert len(content) <= SECTOR, f"{len(records)} records do not fit into sector {sector}"
    return content


def _plain_records(files: Sequence[_File]) -> list[bytes]:
    """Rock Ridge begins in the folder's own record: SP says that it is used, ER which it is."""
    sharing = b"SP\x07\1\xbe\xef\0"
    extension = b"ER\x12\1\x0a\0\0\1RRIP_1991A"
    folder = _attributes(_FOLDER_MODE, 2)
    return [
        _record(_SELF, _FOLDERS, SECTOR, _IS_FOLDER, sharing + folder + extension),
        _record(_PARENT, _FOLDERS, SECTOR, _IS_FOLDER, folder),
        *(
            _record(f.plain, f.sector, len(f.content), 0, _attributes(_FILE_MODE, 1) + _named(f))
            for f in files
        ),
    ]


def _joliet_records(files: Sequence[_File]) -> list[bytes]:
    return [
        _record(_SELF, _FOLDERS + 1, SECTOR, _IS_FOLDER),
        _record(_PARENT, _FOLDERS + 1, SECTOR, _IS_FOLDER),
        *(_record(f.name.encode("utf-16-be"), f.sector, len(f.content), 0) for f in files),
    ]


def _record(name: bytes, sector: int, length: int, flags: int, system_use: bytes = b"") -> bytes:
    """Source: ECMA-119, section 9.1."""
    padding = b"\0" if len(name) % 2 == 0 else b""
    size = 33 + len(name) + len(padding) + len(system_use)
    tail = b"\0" if size % 2 else b""
    return (
        bytes([size + len(tail), 0])
        + _both(sector)
        + _both(length)
        + _DATE
        + bytes([flags, 0, 0])
        + _both_short(1)
        + bytes([len(name)])
        + name
        + padding
        + system_use
        + tail
    )


def _attributes(mode: int, links: int) -> bytes:
    """Rock Ridge's PX: mode, links, and root for owner and group."""
    return b"PX\x24\1" + _both(mode) + _both(links) + _both(0) + _both(0)


def _named(file: _File) -> bytes:
    """Rock Ridge's NM."""
    name = file.name.encode()
    return b"NM" + bytes([5 + len(name), 1, 0]) + name


def _path_tables() -> Iterator[bytes]:
    for folder in (_FOLDERS, _FOLDERS + 1):
        for order in "<>":
            yield struct.pack(f"{order}BBIHBx", 1, 0, folder, 1, 0)


def _descriptor(kind: int, sectors: int, *, joliet: bool) -> bytes:
    """A volume descriptor. Source: ECMA-119, sections 8.4 and 8.5; Joliet, UCS-2 level 3."""
    folder, table = _FOLDERS + joliet, _PATH_TABLES + 2 * joliet
    return b"".join(
        [
            bytes([kind]) + b"CD001\1\0",
            _text("LINUX", 32, joliet),
            _text(LABEL, 32, joliet),
            bytes(8),
            _both(sectors),
            (b"%/E" if joliet else b"").ljust(32, b"\0"),
            _both_short(1),  # of one volume
            _both_short(1),
            _both_short(SECTOR),
            _both(10),  # bytes of a path table
            struct.pack("<II", table, 0),
            struct.pack(">II", table + 1, 0),
            _record(_SELF, folder, SECTOR, _IS_FOLDER),
            _text("", 128, joliet) * 4,  # volume set, publisher, preparer, application
            _text("", 37, joliet) * 3,  # copyright, abstract and bibliographic file
            _NO_DATE * 4,
            b"\1",
        ]
    )


def _text(text: str, width: int, joliet: bool) -> bytes:
    if not joliet:
        return text.encode("ascii").ljust(width)
    return (text.encode("utf-16-be") + b"\0 " * width)[: width // 2 * 2].ljust(width, b"\0")


def _both(number: int) -> bytes:
    """32 bits, in both byte orders."""
    return struct.pack("<I", number) + struct.pack(">I", number)


def _both_short(number: int) -> bytes:
    return struct.pack("<H", number) + struct.pack(">H", number)
