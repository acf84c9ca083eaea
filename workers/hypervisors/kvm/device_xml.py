"""The other devices of a clone's domain that have something of the clone's own."""

from copy import deepcopy
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element

from workers.hypervisors.kvm.clone_parts import CloneParts, TpmState

# What a character device of these types names lies in the guest's display, not on the host.
_OF_DISPLAYS = frozenset({"spicevmc", "spiceport", "qemu-vdagent", "dbus"})
_WITHOUT_NAMES = frozenset({"pty", "null", "vc"})
_WITH_PORTS = frozenset({"vnc", "spice", "rdp"})
_SOUND_OF_GUESTS = frozenset({"none", "spice", "dbus"})


@dataclass(frozen=True, slots=True)
class Devices:
    parts: CloneParts
    notes: list[str]  # grows

    def character_device(self, source: _Element, copy: _Element) -> _Element | None:
        if source.tag == "channel" and copy.find("target") is None:
            return None  # one that forwards to a service: the table drops its target
        kind = source.get("type", "pty")
        if kind in _OF_DISPLAYS:
            copy.set("type", kind)
            for element in source.findall("source"):
                copy.insert(0, deepcopy(element))
        elif kind in _WITHOUT_NAMES:
            copy.set("type", kind)
        elif source.tag == "channel":
            copy.set("type", "unix")
            copy.insert(0, etree.Element("source", {"mode": "bind"}))  # libvirt makes the path
        else:
            copy.set("type", "pty")
        self._log(source, copy)
        return copy

    def _log(self, source: _Element, copy: _Element) -> None:
        log = source.find("log")
        if log is None or self.parts.log_folder is None:
            return
        name = f"{self.parts.vm_uuid}-{_port_name(source)}.log"
        own = etree.SubElement(copy, "log", {"file": f"{self.parts.log_folder}/{name}"})
        if log.get("append"):
            own.set("append", log.get("append", ""))

    def graphics(self, source: _Element, copy: _Element) -> _Element:
        if source.get("type") in _WITH_PORTS:
            copy.set("port", "-1")
            copy.set("autoport", "yes")
            if source.get("websocket"):
                copy.set("websocket", "-1")
        if source.get("passwd") and self.parts.wish.console_password is None:
            self.notes.append(
                "the clone's console has no password: the source's was left out, and whoever "
                "reaches its address needs none"
            )
        return copy

    def audio(self, source: _Element, _copy: _Element) -> _Element:
        kind = source.get("type", "none")
        own = etree.Element("audio", {"id": source.get("id", "1")})
        own.set("type", kind if kind in _SOUND_OF_GUESTS else "none")
        return own

    def tpm(self, _source: _Element, copy: _Element) -> _Element | None:
        if self.parts.tpm is TpmState.NONE:
            self.notes.append("left out: <devices/tpm>: the clone was asked for without one")
            return None
        return copy


def entropy(source: _Element, copy: _Element) -> _Element:
    if source.get("model") != "egd":
        return copy
    own = etree.Element("backend", {"model": "random"})
    own.text = "/dev/urandom"
    return own


def context_id(_source: _Element, _copy: _Element) -> _Element:
    return etree.Element("cid", {"auto": "yes"})


def _port_name(device: _Element) -> str:
    """The first console is the first serial port under another name, so its log is the same."""
    target = device.find("target")
    number = "0" if target is None else target.get("port", "0")
    serial = device.tag == "console" and (target is None or target.get("type") in (None, "serial"))
    return f"{'serial' if serial else device.tag}{number}"
