"""Which domain type a host can run: probed by booting, because a /dev/kvm that exists may boot
nothing. One that boots nothing takes the probe its whole limit, so a machine is probed once."""

import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

KVM, TCG = "kvm", "qemu"  # libvirt's domain types
PROBE_LIMIT_S = 5.0
_EXITED = 33  # of QEMU's isa-debug-exit: twice what was written, and one
_ROUNDS = 1 << 26  # hundredths of a second of a processor, most of a minute of software
# mov ecx, _ROUNDS; again: dec ecx; jnz again; mov dx, 0xf4; mov al, 0x10; out dx, al; hlt
_CODE = b"\x66\xb9" + _ROUNDS.to_bytes(4, "little") + b"\x66\x49\x75\xfc\xba\xf4\0\xb0\x10\xee\xf4"
_BOOT_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEVICE = Path("/dev/kvm")
REMEMBERED = "accelerator"  # the file's name


def domain_type(folder: Path) -> str:
    """What the last probe of this machine found. It is kept in `folder`, on this host's own disk,
    for all processes of an installation; probed anew after a start of the machine, and with another
    /dev/kvm or QEMU."""
    emulator = find_emulator()
    if emulator is None or not os.access(_DEVICE, os.R_OK | os.W_OK):
        return TCG
    asked = f"{_BOOT_ID.read_text().strip()} {_state(_DEVICE)} {_state(Path(emulator))}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / REMEMBERED).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # who comes while one probes waits for its answer
        file.seek(0)
        known, _, found = file.read().rpartition(" ")
        if known != asked or found not in (KVM, TCG):
            found = KVM if boots_with_kvm() else TCG
            file.truncate(0)
            file.write(f"{asked} {found}")
    return found


def _state(path: Path) -> str:
    """Another one where the file was made, changed or given to others since."""
    stat = path.stat()
    return f"{path}:{stat.st_ino}:{stat.st_mode}:{stat.st_size}:{stat.st_ctime_ns}"


def find_emulator() -> str | None:
    """QEMU for this machine's architecture; Red Hat's lies in no folder for people's programs."""
    names = (f"qemu-system-{platform.machine()}", "qemu-kvm", "/usr/libexec/qemu-kvm")
    return next((found for name in names if (found := shutil.which(name))), None)


def boots_with_kvm() -> bool:
    """True where a guest of this machine's architecture gets through its boot sector under KVM with
    the host's CPU, in seconds: software that stands for KVM aborts there, or takes far longer. It
    may boot a sector as quickly as a processor, so the sector counts."""
    machine, emulator = platform.machine(), find_emulator()
    if emulator is None or not os.access(_DEVICE, os.R_OK | os.W_OK):
        return False
    if machine != "x86_64":
        return _starts(emulator)
    with tempfile.NamedTemporaryFile(suffix=".raw") as image:
        image.write(_BOOT_SECTOR)
        image.flush()
        port = "isa-debug-exit,iobase=0xf4,iosize=1"
        drive = f"file={image.name},format=raw,if=ide,snapshot=on"
        command = [emulator, "-nodefaults", "-device", port, "-drive", drive]
        return _status(command) == _EXITED


def _starts(emulator: str) -> bool:
    """Elsewhere no boot sector is known: a CPU is made and QEMU quits."""
    return _status([emulator, "-machine", "virt", "-monitor", "stdio", "-S"], b"quit\n") == 0


def _status(command: list[str], said: bytes = b"") -> int | None:
    options = ["-accel", "kvm", "-cpu", "host", "-m", "32", "-display", "none"]
    try:
        return subprocess.run(
            [*command, *options],
            input=said,
            check=False,
            capture_output=True,
            timeout=PROBE_LIMIT_S,
        ).returncode
    except (subprocess.TimeoutExpired, OSError):
        return None
