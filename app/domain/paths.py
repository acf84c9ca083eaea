"""Where a storage's files lie below its url. Published files end in their format, because
AppArmor's helper reads no others outside a few folders."""

import re
from enum import StrEnum

from app.domain.plan import StorageRef, VolumeFormat


def root_volume_path(
    storage: StorageRef, account_uuid: str, volume_uuid: str, file_format: VolumeFormat
) -> str:
    return _volume_path(storage, "rootVolumes", account_uuid, volume_uuid, file_format)


def data_volume_path(
    storage: StorageRef, account_uuid: str, volume_uuid: str, file_format: VolumeFormat
) -> str:
    return _volume_path(storage, "dataVolumes", account_uuid, volume_uuid, file_format)


def base_path(storage: StorageRef, base_uuid: str, file_format: VolumeFormat) -> str:
    return f"{_root(storage)}/imagecache/{base_uuid}.{file_format}"


def overlay_path(storage: StorageRef, overlay_uuid: str) -> str:
    """Of what a running source writes to while it is copied."""
    return f"{_root(storage)}/work/{overlay_uuid}.qcow2"


def seed_path(storage: StorageRef, vm_uuid: str) -> str:
    return f"{_root(storage)}/seeds/{vm_uuid}.iso"


class TraceKind(StrEnum):
    """What a path below a storage's root is, as far as its name tells."""

    VOLUME = "volume"
    BASE = "base"
    SEED = "seed"  # its uuid is the VM's
    PART = "part"  # unfinished; its uuid is the volume's or base's
    OVERLAY = "overlay"  # of a running source
    VOLUME_FOLDER = "volumeFolder"
    ACCOUNT_FOLDER = "accountFolder"
    FOREIGN = "foreign"  # no name that vmclone gives


# Nothing of vmclone's lies in another one, the marker apart.
OWN_FOLDERS = ("rootVolumes", "dataVolumes", "imagecache", "seeds", "work")

_UUID = r"(?P<uuid>[0-9a-f]{32})"
_ACCOUNT = r"(root|data)Volumes/acct-"
_FILES = {
    TraceKind.VOLUME: rf"{_ACCOUNT}[0-9a-f]{{32}}/vol-{_UUID}/(?P=uuid)\.(qcow2|raw)",
    TraceKind.BASE: rf"imagecache/{_UUID}\.(qcow2|raw)",
    TraceKind.SEED: rf"seeds/{_UUID}\.iso",
    TraceKind.PART: rf"work/{_UUID}\.part",
    TraceKind.OVERLAY: rf"work/{_UUID}\.qcow2",
}
_FOLDERS = {
    TraceKind.ACCOUNT_FOLDER: rf"{_ACCOUNT}{_UUID}",
    TraceKind.VOLUME_FOLDER: rf"{_ACCOUNT}[0-9a-f]{{32}}/vol-{_UUID}",
}


def named_by(inside: str, *, folder: bool) -> tuple[TraceKind, str | None]:
    """What a path below the root names: its kind and uuid; FOREIGN and None for any other."""
    for kind, pattern in (_FOLDERS if folder else _FILES).items():
        found = re.fullmatch(pattern, inside)
        if found:
            return kind, found["uuid"]
    return TraceKind.FOREIGN, None


def _volume_path(
    storage: StorageRef, kind: str, account_uuid: str, volume_uuid: str, file_format: VolumeFormat
) -> str:
    return (
        f"{_root(storage)}/{kind}/acct-{account_uuid}/vol-{volume_uuid}/{volume_uuid}.{file_format}"
    )


def _root(storage: StorageRef) -> str:
    return storage.url.rstrip("/")
