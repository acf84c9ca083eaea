"""Looks at the demo's clones: are they served, do they read as their source does?"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import text

from app.domain.errors import OperationTimeout
from app.domain.plan import SourceVolume
from app.endpoints import database_url
from app.settings import Settings
from app.store.session import Database
from app.store.source_volumes import source_volumes
from workers.storage.reader import open_image

_CHUNK = 1 << 20


def checksum(files: tuple[Path, ...]) -> str:
    """SHA-256 over the files' bytes."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def wait_until_served(settings: Settings, *, log: Path, timeout_s: float) -> None:
    """A worker serves the demo's host and has seen its storage. Raises OperationTimeout, which
    names the log."""
    deadline_s = time.monotonic() + timeout_s
    with _database(settings) as database:
        while not _served(database):
            if time.monotonic() > deadline_s:
                raise OperationTimeout(
                    f"no worker serves demo-host after {timeout_s:.0f} s; {log} says why"
                )
            time.sleep(0.1)


def _served(database: Database) -> bool:
    with database.single() as connection:
        return bool(
            connection.scalar(
                text(
                    "SELECT h.seen_at > clock_timestamp() - interval '5 s' "
                    "AND s.seen_at IS NOT NULL AND s.fault IS NULL "
                    "FROM primary_storages s JOIN hosts h ON h.uuid = s.host_uuid "
                    "WHERE s.name = 'demo-storage'"
                )
            )
        )


def differences(settings: Settings, source_uuid: str, clone_uuids: list[str]) -> dict[str, str]:
    """For each clone that does not read exactly as its source, what is different."""
    found = {}
    with _database(settings) as database:
        source = _volumes(database, source_uuid)
        for uuid in clone_uuids:
            if text_ := _difference(source, _volumes(database, uuid)):
                found[uuid] = text_
    return found


def _volumes(database: Database, vm_uuid: str) -> list[SourceVolume]:
    with database.single() as connection:
        return source_volumes(connection, vm_uuid, with_data_volumes=True)


def _difference(source: list[SourceVolume], clone: list[SourceVolume]) -> str | None:
    if len(source) != len(clone):
        return f"{len(clone)} volumes instead of {len(source)}"
    for ours, theirs in zip(source, clone, strict=True):
        with (
            open_image(ours.path, ours.format, ours.backing) as expected,
            open_image(theirs.path, theirs.format, theirs.backing) as found,
        ):
            if expected.virtual_size != found.virtual_size:
                return f"{theirs.path} has {found.virtual_size} bytes"
            for offset in range(0, expected.virtual_size, _CHUNK):
                length = min(_CHUNK, expected.virtual_size - offset)
                if expected.read(offset, length) != found.read(offset, length):
                    return f"{theirs.path} differs in the MiB at byte {offset}"
    return None


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    with closing(Database(database_url(settings))) as database:
        yield database
