from pathlib import Path

import pytest
from lxml import etree

from app.domain.plan import BackingFile, StorageRef, StorageType, VolumeFormat
from app.domain.snapshots import FrozenDisk, Place
from workers.hypervisors.kvm.chains import chain_of, inactive_place, live_place, point_back
from workers.storage import qcow2

ROOT, DEEP, OVERLAY = "/images/root.qcow2", "/images/deep.raw", "/ps/work/overlay.qcow2"
LAYER = (
    "<backingStore type='file'><format type='{form}'/><source file='{path}'/>{below}</backingStore>"
)
FROZEN = FrozenDisk(
    "vda",
    "a-volume",
    StorageRef("a-storage", StorageType.LOCAL, "/ps"),
    "an-overlay",
    OVERLAY,
    (BackingFile(ROOT, VolumeFormat.QCOW2), BackingFile(DEEP, VolumeFormat.RAW)),
    1,
)


def disk(path: str, form: str = "qcow2", below: str = "") -> etree._Element:
    return etree.fromstring(
        f"<disk type='file'><driver name='qemu' type='{form}' cache='none'/>"
        f"<source file='{path}' index='4'/>{below}<target dev='vda'/></disk>"
    )


def layers(*files: tuple[str, str]) -> str:
    below = "<backingStore/>"
    for path, form in reversed(files):
        below = LAYER.format(form=form, path=path, below=below)
    return below


def test_a_chain_is_read_to_its_end() -> None:
    found = disk(OVERLAY, below=layers((ROOT, "qcow2"), (DEEP, "raw")))
    assert [file.path for file in chain_of(found) or ()] == [OVERLAY, ROOT, DEEP]


def test_a_layer_that_nothing_here_reads_is_no_chain() -> None:
    assert chain_of(disk(OVERLAY, below=layers((ROOT, "vmdk")))) is None


@pytest.mark.parametrize(
    ("found", "place"),
    [
        (disk(OVERLAY, below=layers((ROOT, "qcow2"))), Place.TOP),
        (disk("/other.qcow2", below=layers((OVERLAY, "qcow2"), (ROOT, "qcow2"))), Place.BELOW),
        (disk(ROOT), Place.NONE),
        (None, Place.NONE),
    ],
)
def test_the_overlay_is_found_in_a_running_chain(
    found: etree._Element | None, place: Place
) -> None:
    assert live_place(found, OVERLAY) is place


def test_what_a_domain_starts_with_is_followed_by_the_files_headers(tmp_path: Path) -> None:
    """libvirt names the top alone there, when somebody's own snapshot stands on the overlay."""
    overlay, theirs = tmp_path / "overlay.qcow2", tmp_path / "theirs.qcow2"
    for path, below in ((overlay, ROOT), (theirs, str(overlay))):
        with path.open("x+b") as file:
            qcow2.write_overlay(file.fileno(), 1 << 20, below, VolumeFormat.QCOW2)
    assert inactive_place(disk(str(theirs)), str(overlay)) is Place.BELOW
    assert inactive_place(disk(str(overlay)), str(overlay)) is Place.TOP
    assert inactive_place(disk(str(theirs), form="raw"), str(overlay)) is Place.NONE


def test_a_disk_names_its_own_file_again_and_keeps_the_rest() -> None:
    found = disk(OVERLAY, below=layers((ROOT, "qcow2"), (DEEP, "raw")))
    point_back(found, FROZEN)
    before = disk(ROOT, below=layers((DEEP, "raw")))
    source = before.find("source")
    assert source is not None
    del source.attrib["index"]
    assert etree.tostring(found) == etree.tostring(before)


def test_a_disk_without_layers_is_given_none() -> None:
    found = disk(OVERLAY)
    point_back(found, FROZEN)
    assert found.find("backingStore") is None
