"""What a request may say of its clones' disks."""

import json
from typing import Any

import pytest

from app.domain.disk_params import DiskWish, DiskWishes, parse_disks
from app.domain.errors import CloneError, InvalidArgument

UUID = "a" * 32


def test_the_roots_disk_and_new_ones_are_told_apart() -> None:
    root = {"boot": True, "size": 5, "name": "r", "systemTags": ["x::y"], "primaryStorageUuid": "p"}
    new = {"boot": False, "size": 0, "diskOfferingUuid": UUID}
    assert parse_disks([{"size": 7}, root, json.dumps(new)]) == DiskWishes(
        root=DiskWish(size=5, name="r", storage_uuid="p", system_tags=("x::y",)),
        data=(DiskWish(size=7), DiskWish(offering_uuid=UUID)),
    )


def test_a_root_may_leave_its_size_out() -> None:
    assert parse_disks([{"boot": True, "size": 0}]).root == DiskWish()


def test_what_is_said_of_the_source_is_to_be_checked() -> None:
    claims = parse_disks([{"boot": True, "platform": "Linux", "architecture": ""}]).claims
    assert claims == (("diskAOs[0]", "platform", "Linux"),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["<diskAOs>"], r"diskAOs\[0\]\] is a string, but not one of JSON"),
        ([1], r"diskAOs\[0\]\] must be an object"),
        ([{}], r"exactly one of size, templateUuid, .* it has none"),
        ([{"size": 1, "diskOfferingUuid": UUID}], r"it has diskOfferingUuid, size"),
        ([{"boot": True, "size": 1, "templateUuid": UUID}], r"\(or none: it is the root disk\)"),
        ([{"boot": True}] * 2, r"has 2 elements with boot"),
        ([{"size": -1}], r"size\] is -1, it must be 0 to"),
        ([{"size": 1 << 51}], r"size\] is 2251799813685248, it must be 0 to"),
        ([{"size": "9"}], r"size\] must be a whole number of bytes"),
        ([{"size": 1, "diskOfferingUuid": "x"}], r"must be the uuid of a disk offering"),
        ([{"size": 1, "name": "n" * 256}], r"name\] exceeds max length"),
        ([{"size": 1, "systemTags": [1]}], r"systemTags\] must be a list of strings"),
        ([{"size": 1}] * 26, r"has 26 elements"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(given: list[Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        parse_disks(given)


@pytest.mark.parametrize("field", ["templateUuid", "sourceUuid"])
@pytest.mark.parametrize("boot", [True, False])
def test_copies_of_other_volumes_are_not_implemented(field: str, boot: bool) -> None:
    with pytest.raises(CloneError, match="fills no disk from another image") as refused:
        parse_disks([{"boot": boot, field: UUID}])
    assert refused.value.code == "SYS.1014"
