"""A guest's kernel modules: those that are needed, in order, and nothing to check."""

from pathlib import Path

from workers.ops.demo.guest.modules import in_order, unsigned

MARK = b"~Module signature appended~\n"


def test_each_is_behind_what_it_needs(tmp_path: Path) -> None:
    needs = {"ext4": "jbd2,mbcache", "jbd2": "", "mbcache": "", "virtio-rng": "", "usb": ""}
    for name, needed in needs.items():
        folder = tmp_path / name[0]
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.ko").write_bytes(b"\0license=GPL\0depends=%s\0" % needed.encode())
    order = [path.stem for path in in_order(tmp_path, ["ext4", "built_in", "virtio_rng", "jbd2"])]
    assert order == ["jbd2", "mbcache", "ext4", "virtio-rng"]


def test_a_signature_is_cut_off() -> None:
    module = b"\x7fELF" + bytes(range(256))
    description = b"\0\0\2" + bytes(5) + (100).to_bytes(4, "big")
    assert unsigned(module + bytes(100) + description + MARK) == module


def test_what_is_not_signed_stays() -> None:
    assert unsigned(MARK + b"and more") == MARK + b"and more"
