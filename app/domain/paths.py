"""Where a storage's files lie below its url. Published files end in their format, because
AppArmor's helper reads no others outside a few folders."""

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


def _volume_path(
    storage: StorageRef, kind: str, account_uuid: str, volume_uuid: str, file_format: VolumeFormat
) -> str:
    return (
        f"{_root(storage)}/{kind}/acct-{account_uuid}/vol-{volume_uuid}/{volume_uuid}.{file_format}"
    )


def _root(storage: StorageRef) -> str:
    return storage.url.rstrip("/")
