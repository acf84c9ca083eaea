"""What needs QEMU's own hand: a chain made one self-contained file, a qcow2 file made larger."""

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Sequence

from app.domain.errors import OperationFailed, PrimaryStorageFull, SourceVolumeBusy, ToolMissing
from app.domain.plan import SourceVolume, VolumeFormat
from workers.storage.base import CopyControl
from workers.storage.pace import Pace

POLL_S = 0.2
PR_SET_PDEATHSIG = 1
KEPT_OUTPUT = 4096
_PERCENT = re.compile(rb"\((\d+\.\d+)/100%\)")
_FAULTS = (("No space left", PrimaryStorageFull), ('Failed to get "', SourceVolumeBusy))

# Looked up here: after a fork nothing may take a lock.
_prctl = ctypes.CDLL(None).prctl


def flatten(source: SourceVolume, target: int, virtual_size: int, control: CopyControl) -> None:
    """Leave the empty file `target` a qcow2 file with the source's whole content and no file
    below it. Every format is named: qemu-img must not probe what a guest may have written."""
    convert = ["convert", "-p", "-W", "-m", "16", "--image-opts", _image_options(source)]
    _run(
        [*convert, "-O", VolumeFormat.QCOW2, _path_of(target)],
        f"flatten {source.path}",
        target,
        control,
        total_bytes=virtual_size,
    )


def commit(source: SourceVolume, top: int, virtual_size: int, control: CopyControl) -> None:
    """Write what the topmost file of the chain holds to the one below it, and empty it. `top` is
    its descriptor. Raises SourceVolumeBusy where another process has one of them open."""
    _run(
        ["commit", "-p", "--image-opts", _image_options(source)],
        f"write {source.path} back to the file below it",
        top,
        control,
        total_bytes=virtual_size,
    )


def grow(target: int, size: int, control: CopyControl) -> None:
    """Leave a qcow2 file with the larger virtual size."""
    command = ["resize", "-f", VolumeFormat.QCOW2, _path_of(target), str(size)]
    _run(command, f"grow a volume to {size} bytes", target, control)


def _image_options(source: SourceVolume) -> str:
    """The chain as qemu-img's image options, each node with its driver."""
    files = [(source.path, source.format), *((b.path, b.format) for b in source.backing)]
    options = []
    for depth, (path, file_format) in enumerate(files):
        prefix = "backing." * depth
        escaped = path.replace(",", ",,")
        options.append(f"{prefix}driver={file_format}")
        options.append(f"{prefix}file.driver=file,{prefix}file.filename={escaped}")
    return ",".join(options)


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _run(
    arguments: Sequence[str],
    doing: str,
    target: int,
    control: CopyControl,
    *,
    total_bytes: int | None = None,
) -> None:
    """The child holds the lock of whoever started it, dies with it, and is killed, and waited
    for, when `control` says stop. Raises ToolMissing where there is no qemu-img."""
    program = shutil.which("qemu-img")
    if program is None:
        raise ToolMissing(
            f"qemu-img is needed to {doing} and is not installed on this host: install "
            "qemu-utils (Debian, Ubuntu) or qemu-img (Fedora)"
        )
    with subprocess.Popen(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(*control.inherited_descriptors, target),
        preexec_fn=_die_with_parent,
    ) as child:
        try:
            said = _follow(child, total_bytes, control)
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        kind = next((kind for sign, kind in _FAULTS if sign in said), OperationFailed)
        raise kind(f"qemu-img could not {doing}: {said[-500:]}")


def _follow(child: subprocess.Popen[bytes], total_bytes: int | None, control: CopyControl) -> str:
    """Report what the child shows until it ends; what it said on standard error."""
    assert child.stdout is not None
    assert child.stderr is not None
    shown, said = child.stdout.fileno(), child.stderr.fileno()
    streams = {shown: b"", said: b""}
    open_streams = set(streams)
    pace, done = Pace(control), 0
    while open_streams:
        _hold_back(child, pace, done)
        ready, _, _ = select.select(list(open_streams), [], [], POLL_S)
        for stream in ready:
            content = os.read(stream, KEPT_OUTPUT)
            if not content:
                open_streams.discard(stream)
            streams[stream] = (streams[stream] + content)[-KEPT_OUTPUT:]
        percents = _PERCENT.findall(streams[shown])
        if percents and total_bytes is not None:
            done = int(float(percents[-1]) / 100 * total_bytes)
            control.progress(done)
    return streams[said].decode(errors="replace").strip()


def _hold_back(child: subprocess.Popen[bytes], pace: Pace, done: int) -> None:
    """A checkpoint. A child that is ahead of its rate stands still meanwhile: qemu-img's own
    limit cannot change while it runs."""
    held = pace.ahead_s(done) > 0
    if held:
        child.send_signal(signal.SIGSTOP)
    try:
        pace.wait(done)
    finally:
        if held:
            child.send_signal(signal.SIGCONT)


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
