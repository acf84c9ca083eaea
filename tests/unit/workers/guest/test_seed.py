"""The seed's image is what guests look for, byte for byte the same for the same documents."""

import io

import pycdlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.guest.seed import SECTOR, make_seed

DOCUMENTS = {
    "meta-data": b"instance-id: x\n",
    "network-config": b"version: 2\n",
    "user-data": b"",
    "vendor-data": b"v" * (SECTOR + 1),
}


def read_back(image: bytes, kind: str) -> dict[str, bytes]:
    """All files of one of the image's trees."""
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    encoding = {"rr_path": "utf-8", "joliet_path": "utf-16-be"}[kind]
    files = {}
    for child in iso.list_children(**{kind: "/"}):
        if child.is_dot() or child.is_dotdot():
            continue
        name = child.rock_ridge.name() if kind == "rr_path" else child.file_identifier()
        content = io.BytesIO()
        iso.get_file_from_iso_fp(content, **{kind: "/" + name.decode(encoding)})
        files[name.decode(encoding)] = content.getvalue()
    iso.close()
    return files


@pytest.mark.parametrize("kind", ["rr_path", "joliet_path"])  # Linux's tree and Windows's
@given(
    contents=st.lists(
        st.binary(max_size=64) | st.binary(min_size=SECTOR - 1, max_size=2 * SECTOR + 1),
        min_size=4,
        max_size=4,
    )
)
def test_each_document_is_a_file_in_both_trees(kind: str, contents: list[bytes]) -> None:
    documents = dict(zip(DOCUMENTS, contents, strict=True))
    assert read_back(make_seed(documents), kind) == documents


def test_it_is_labelled_cidata_for_linux_and_windows() -> None:
    image = make_seed(DOCUMENTS)
    assert image[16 * SECTOR + 40 :][:32] == b"cidata".ljust(32)
    assert image[17 * SECTOR + 40 :][:12].decode("utf-16-be") == "cidata"


def test_linux_sees_from_the_first_record_that_it_has_rock_ridge() -> None:
    """Source: SUSP, section 5.3. Without it the kernel shows the plain names."""
    folder = make_seed(DOCUMENTS)[23 * SECTOR :]
    assert folder[34:41] == b"SP\x07\x01\xbe\xef\x00"


def test_only_root_reads_it_in_a_linux_guest() -> None:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(make_seed(DOCUMENTS)))
    records = [record for record in iso.list_children(rr_path="/") if not record.is_dotdot()]
    modes = {record.rock_ridge.get_file_mode() & 0o777 for record in records}
    assert len(records) == 1 + len(DOCUMENTS)
    assert modes == {0o500, 0o400}


def test_the_same_documents_make_the_same_bytes() -> None:
    image = make_seed(DOCUMENTS)
    assert make_seed(dict(reversed(DOCUMENTS.items()))) == image
    assert make_seed(DOCUMENTS | {"user-data": b"#!"}) != image


def test_it_is_small_and_whole_sectors() -> None:
    image = make_seed(DOCUMENTS)
    assert len(image) == (25 + 5) * SECTOR
    size = int.from_bytes(image[16 * SECTOR + 80 :][:4], "little")
    assert size * SECTOR == len(image)
