"""Reads a running guest's files of interest through its agent, and changes nothing there.

By a shell, which can list folders, where the agent may run programs; else one by one by their
usual names. Source: the QEMU Guest Agent protocol reference.
"""

import base64
import binascii
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import libvirt

from workers.guest.template import NAMED, READ
from workers.hypervisors.kvm.guest_agent import QuestionRefused, ask

MOST_BYTES = 16 << 10  # of one file
_RUN_LIMIT_S, _RUN_INTERVAL_S = 15.0, 0.2
_USUAL = (  # where no folder can be listed
    "/etc/cloud/cloud.cfg.d/90_dpkg.cfg",
    "/etc/cloud/cloud.cfg.d/99-installer.cfg",
    "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg",
    "/etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg",
    "/etc/netplan/00-installer-config.yaml",
    "/etc/netplan/01-netcfg.yaml",
    "/etc/netplan/01-network-manager-all.yaml",
)


@dataclass(frozen=True, slots=True)
class GuestFiles:
    files: dict[str, str]  # by path; "" where only the name is known
    complete: bool  # folders were listed


def read_files(domain: libvirt.virDomain) -> GuestFiles:
    """Raises AgentSilent; QuestionRefused where the agent may neither run nor read anything."""
    try:
        return GuestFiles(dict(_lines(_run(domain, _script()))), complete=True)
    except QuestionRefused:
        return GuestFiles(dict(_one_by_one(domain)), complete=False)


def _script() -> str:
    """Prints each file's path, and of those to be read the content as base64."""
    read, named = " ".join(READ), " ".join(NAMED)
    each = 'for f in {}; do [ -f "$f" ] || continue; {}; done'
    content = f'printf "%s %s\\n" "$f" "$(head -c {MOST_BYTES} "$f" | base64 | tr -d "\\n")"'
    return "; ".join((each.format(read, content), each.format(named, 'printf "%s\\n" "$f"')))


def _run(domain: libvirt.virDomain, script: str) -> str:
    """Raises QuestionRefused also where it fails or does not end in time."""
    started = ask(
        domain,
        "guest-exec",
        path="/bin/sh",
        arg=["-c", script],
        **{"capture-output": True},
    )
    deadline_s = time.monotonic() + _RUN_LIMIT_S
    while time.monotonic() < deadline_s:
        status = ask(domain, "guest-exec-status", pid=_field(started, "pid"))
        if _field(status, "exited"):
            if status.get("exitcode") != 0:
                raise QuestionRefused("/bin/sh failed in the guest")
            return _decoded(str(status.get("out-data", "")))
        time.sleep(_RUN_INTERVAL_S)
    raise QuestionRefused("/bin/sh did not end in the guest in time")


def _field(answer: object, name: str) -> object:
    if not isinstance(answer, dict) or name not in answer:
        raise QuestionRefused(f"the answer has no {name}")
    return answer[name]


def _lines(printed: str) -> Iterator[tuple[str, str]]:
    for line in printed.splitlines():
        path, _, content = line.partition(" ")
        with suppress(QuestionRefused):
            yield path, _decoded(content)


def _one_by_one(domain: libvirt.virDomain) -> Iterator[tuple[str, str]]:
    names = [path for path in (*READ, *NAMED, *_USUAL) if "*" not in path]
    refusals = []
    for path in names:
        try:
            yield path, _read(domain, path)
        except QuestionRefused as refusal:
            refusals.append(refusal)
    if len(refusals) == len(names):
        raise refusals[0]


def _read(domain: libvirt.virDomain, path: str) -> str:
    """Raises QuestionRefused for a file that is not there."""
    handle = ask(domain, "guest-file-open", path=path, mode="r")
    try:
        said = ask(domain, "guest-file-read", handle=handle, count=MOST_BYTES)
        return _decoded(str(_field(said, "buf-b64")))
    finally:
        with suppress(QuestionRefused):
            ask(domain, "guest-file-close", handle=handle)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError) as error:
        raise QuestionRefused("the answer is no base64") from error
