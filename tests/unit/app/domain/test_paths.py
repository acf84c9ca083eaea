"""Published files lie below the storage's url and end in their format."""

import pytest

from app.domain import paths
from app.domain.plan import StorageRef, StorageType, VolumeFormat


@pytest.mark.parametrize("url", ["/srv/ps-1", "/srv/ps-1/"])
def test_files_are_named_by_uuid_below_the_url(url: str) -> None:
    storage = StorageRef("ps", StorageType.LOCAL, url)
    qcow2, raw = VolumeFormat.QCOW2, VolumeFormat.RAW
    assert (
        paths.root_volume_path(storage, "a", "v", qcow2)
        == "/srv/ps-1/rootVolumes/acct-a/vol-v/v.qcow2"
    )
    assert (
        paths.data_volume_path(storage, "a", "v", raw) == "/srv/ps-1/dataVolumes/acct-a/vol-v/v.raw"
    )
    assert paths.base_path(storage, "b", raw) == "/srv/ps-1/imagecache/b.raw"
