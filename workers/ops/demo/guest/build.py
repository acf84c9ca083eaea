"""Builds the tiny guest: a disk that boots by itself through SeaBIOS and through OVMF, without
root.

A FAT partition holds both boot loaders, kernel and initial RAM disk; an ext4 partition labelled
root holds what the guest is, which is `root/` beside this file and busybox. Its own scripts say
what it does at its start and in /id.json.
"""

import fcntl
import gzip
import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from workers.ops.demo.guest.modules import in_order, unsigned
from workers.ops.demo.guest.packages import BOOT_LOADER, KERNEL, archive, unpack
from workers.ops.demo.guest.tools import MBR, busybox, run

ROOT_MARKER = "the golden root"
MACHINE_ID = "5eed0000feedc0dedeadbeef00000001"  # of every guest, until its seed renews it
READY = "CLONE-READY"
MEMORY_MIB = 96

ROOT_TREE = Path(__file__).parent / "root"
_INITRD_TREE = Path(__file__).parent / "initrd"
MIB = 1 << 20
_BOOT_AT, _BOOT_SIZE, _ROOT_SIZE = 1 * MIB, 20 * MIB, 8 * MIB
# Nothing is asked of hardware that the guest does not use: each is time under emulation.
_COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=3 panic=1 tsc=reliable no_timer_check mitigations=off nokaslr "
    "audit=0 cryptomgr.notests random.trust_cpu=on 8250.nr_uarts=1 i8042.nokbd i8042.noaux"
)
# What they need is found and put before them. File systems and drives come before the controllers:
# loading a controller ends when its drives were found.
_FILE_SYSTEMS = ["crc32c_generic", "ext4", "isofs"]
_DRIVES = ["sd_mod", "sr_mod"]
_CONTROLLERS = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "ata_piix"]
_OTHERS = ["evdev", "button", "virtio-rng", "virtio_console", "qemu_fw_cfg"]
_MODULES = [*_FILE_SYSTEMS, *_DRIVES, *_CONTROLLERS, *_OTHERS]
_KEPT_S = 24 * 3600
_STATE = ("var/lib/guest", "var/lib/dbus")


def build_guest(folder: Path) -> Path:
    """The guest's disk below `folder`, a read-only qcow2 file: made once for all who ask with the
    same scripts. Raises ToolMissing where kernel, boot loader or a program cannot be had, and
    OperationFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "guest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        archives = [archive(package, folder / "packages") for package in (KERNEL, BOOT_LOADER)]
        built = folder / f"guest-{_digest(archives)}.qcow2"
        if not built.exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                disk = _disk(Path(work), archives)
                disk.chmod(0o444)
                disk.rename(built)
            _forget_old(folder)
    return built


def _forget_old(folder: Path) -> None:
    """Guests of other scripts, but not those that somebody beside this one may be using."""
    for image in folder.glob("guest-*.qcow2"):
        if image.stat().st_mtime < time.time() - _KEPT_S:
            image.unlink()


def _digest(archives: Iterable[Path]) -> str:
    digest = hashlib.sha256(" ".join(path.name for path in archives).encode())
    for path in [*_own_files(), busybox()]:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _own_files() -> list[Path]:
    trees = [*ROOT_TREE.rglob("*"), *_INITRD_TREE.rglob("*")]
    programs = Path(__file__).parent.glob("*.py")
    return sorted(path for path in [*trees, *programs] if path.is_file())


def _disk(work: Path, archives: Iterable[Path]) -> Path:
    unpack(archives, work / "packages")
    raw = work / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(_BOOT_AT + _BOOT_SIZE + _ROOT_SIZE + MIB)
    # One partition serves both: SeaBIOS boots the active one, OVMF the one of type EF.
    table = (
        "label: dos\n"
        f"start={_BOOT_AT // 512}, size={_BOOT_SIZE // 512}, type=ef, bootable\n"
        f"start={(_BOOT_AT + _BOOT_SIZE) // 512}, size={_ROOT_SIZE // 512}, type=83\n"
    )
    run("sfdisk", "--quiet", raw, said=table)
    boot = _boot_partition(work, _initrd(work))
    root = ext4(work / "root.ext4", _ROOT_SIZE, "root", _root_tree(work))
    with raw.open("r+b") as file:
        file.write(MBR.read_bytes()[:440])
        for partition, offset in ((boot, _BOOT_AT), (root, _BOOT_AT + _BOOT_SIZE)):
            file.seek(offset)
            file.write(partition.read_bytes())
    disk = work / "guest.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
    return disk


def _boot_partition(work: Path, initrd: bytes) -> Path:
    tree = work / "boot"
    loader = _packaged(work, "usr/lib/systemd/boot/efi/systemd-bootx64.efi")
    files = {
        "vmlinuz": _packaged(work, "boot/vmlinuz-*").read_bytes(),
        "initrd": initrd,
        "EFI/BOOT/BOOTX64.EFI": loader.read_bytes(),
        "syslinux.cfg": _text(
            "DEFAULT guest", "LABEL guest", "KERNEL vmlinuz", "INITRD initrd", "APPEND"
        ),
        "loader/loader.conf": b"timeout 0\ndefault guest.conf\n",
        "loader/entries/guest.conf": _text("linux /vmlinuz", "initrd /initrd", "options"),
    }
    for name, content in files.items():
        tree.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tree.joinpath(name).write_bytes(content)
    partition = work / "boot.fat"
    with partition.open("wb") as file:
        file.truncate(_BOOT_SIZE)
    run("mkfs.fat", "-h", str(_BOOT_AT // 512), "-n", "BOOT", partition)
    run("mcopy", "-s", "-i", partition, *sorted(tree.iterdir()), "::")
    run("syslinux", "--install", partition)
    return partition


def _packaged(work: Path, pattern: str) -> Path:
    return next((work / "packages").glob(pattern))


def _text(*lines: str) -> bytes:
    """A boot loader's file, the last line of which takes the kernel's command line."""
    return ("\n".join(lines) + f" {_COMMAND_LINE}\n").encode()


def _initrd(work: Path) -> bytes:
    tree = work / "initrd"
    shutil.copytree(_INITRD_TREE, tree)
    for name in ("bin", "dev", "proc", "sys", "newroot"):
        (tree / name).mkdir()
    shutil.copy(busybox(), tree / "bin/busybox")
    tree.joinpath("init").chmod(0o755)
    _add_modules(tree, _packaged(work, "lib/modules/*"))
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    content = work / "initrd.cpio"
    run("cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", content, said=names, folder=tree)
    return gzip.compress(content.read_bytes(), compresslevel=6)


def _add_modules(tree: Path, kernels: Path) -> None:
    """Of the kernel in that folder, with their names in the order in which they are loaded."""
    place = tree / "lib/modules" / kernels.name
    place.mkdir(parents=True)
    modules = list(in_order(kernels / "kernel", _MODULES))
    for module in modules:
        (place / module.name).write_bytes(unsigned(module.read_bytes()))
    # Each stands before those that need it, so modprobe is told of no needs.
    (place / "modules.dep").write_text("".join(f"{module.name}:\n" for module in modules))
    (place / "order").write_text(" ".join(module.stem for module in modules) + "\n")


def _root_tree(work: Path) -> Path:
    tree = work / "root"
    shutil.copytree(ROOT_TREE, tree)
    for path in tree.rglob("*"):
        path.chmod(0o755)
    for name in ("bin", "dev", "proc", "sys", "run", "data", "root", *_STATE):
        (tree / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox(), tree / "bin/busybox")
    for name in run(busybox(), "--list-full").split():
        link = tree / name
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/bin/busybox")
    files = {
        "marker": ROOT_MARKER,
        "etc/hostname": "golden",
        "etc/machine-id": MACHINE_ID,
        "var/lib/dbus/machine-id": MACHINE_ID,  # a file, as on guests of some years ago
        "var/lib/guest/boots": "0",
    }
    for name, content in files.items():
        tree.joinpath(name).write_text(f"{content}\n")
    return tree


def ext4(image: Path, size_bytes: int, label: str, tree: Path) -> Path:
    image.unlink(missing_ok=True)
    options = ["-q", "-t", "ext4", "-L", label, "-m", "0", "-E", "root_owner=0:0", "-d", str(tree)]
    run("mke2fs", *options, image, f"{size_bytes // 1024}k")
    return image
