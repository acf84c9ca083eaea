"""Kernel modules of a guest."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_SIGNED = b"~Module signature appended~\n"
_DESCRIPTION_SIZE = 12


def in_order(modules: Path, names: Iterable[str]) -> Iterator[Path]:
    """The named modules and what they need, each behind its needs."""
    files = {path.stem.replace("-", "_"): path for path in modules.rglob("*.ko")}
    seen: set[str] = set()

    def walk(name: str) -> Iterator[Path]:
        if name in seen:
            return
        seen.add(name)
        needs = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes())
        for need in needs[1].decode().split(",") if needs and needs[1] else ():
            yield from walk(need.replace("-", "_"))
        yield files[name]

    for name in names:
        # One that is not a file of its own is a part of this kernel.
        if name.replace("-", "_") in files:
            yield from walk(name.replace("-", "_"))


def unsigned(module: bytes) -> bytes:
    """A kernel that loads unsigned modules, too, still checks those that are signed, which takes a
    while under emulation. A signature's length is the last of its description, which is between it
    and the mark. Source: include/linux/module_signature.h of Linux."""
    if not module.endswith(_SIGNED):
        return module
    described = module.removesuffix(_SIGNED)
    size = int.from_bytes(described[-4:], "big")
    return described[: -_DESCRIPTION_SIZE - size]
