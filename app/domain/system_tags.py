"""The system tags of a request: which there are, and what each says.

Source of names: docs/zstack-compatibility.md. Every refusal is an InvalidArgument that shows the
tag, except where the tag is a secret.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from app.domain.addressing import checked_ip, checked_mac, checked_netmask, checked_prefix
from app.domain.elements import UUID
from app.domain.errors import InvalidArgument
from app.domain.machine_wish import BootDevice, BootMode, MachineWish, VmPriority
from app.domain.plan import CloneMethod

E = TypeVar("E", bound=StrEnum)

# By their first token. What has an effect wherever the clones are:
EFFECTIVE = frozenset(
    {
        "staticIp",
        "ipv4Netmask",
        "ipv4Gateway",
        "ipv6Gateway",
        "ipv6Prefix",
        "customMac",
        "cloneMode",
        "cdroms",
        "createWithoutCdRom",
        "primaryStorageUuidForDataVolume",
    }
)
# What tells a guest who it is, or makes its machine: on real machines only.
OF_GUESTS = frozenset(
    {
        "hostname",
        "sshkey",
        "userdata",
        "rootPassword",
        "identity",
        "consolePassword",
        "bootMode",
        "bootOrder",
        "vmPriority",
        "cleanTraffic",
        "driver",
        "qemuga",
    }
)
KNOWN = EFFECTIVE | OF_GUESTS | frozenset({"resourceConfig"})
# Never to be read again as a clone's tag: secrets, and what is used up by making it.
_NOT_KEPT = frozenset({"rootPassword", "consolePassword", "customMac"})
# VNC compares no more of it.
_CONSOLE_PASSWORD = re.compile(r"[\x21-\x7e]{1,8}")
_STATIC_TAGS = ("ipv4Netmask", "ipv4Gateway", "ipv6Gateway", "ipv6Prefix")


@dataclass(frozen=True, slots=True)
class Subnet:
    """What tags say of a network that has no ranges to say it."""

    l3_network_uuid: str
    netmask: str | None = None
    gateway: str | None = None
    prefix6: int | None = None
    gateway6: str | None = None


def known(tags: Sequence[str]) -> tuple[str, ...]:
    """Those that the clones keep. Raises InvalidArgument for one that there is not."""
    for tag in tags:
        if tag.partition("::")[0] not in KNOWN:
            raise InvalidArgument(f"no system tag matches {tag}")
    return tuple(tag for tag in tags if tag.partition("::")[0] not in _NOT_KEPT)


def values(tags: Sequence[str], name: str) -> Iterator[tuple[str, list[str]]]:
    for tag in tags:
        first, *rest = tag.split("::")
        if first == name:
            yield tag, rest


def one(tags: Sequence[str], name: str) -> str | None:
    """Raises InvalidArgument for a second one."""
    found = ["::".join(rest) for _, rest in values(tags, name)]
    if len(found) > 1:
        raise InvalidArgument(f"system tag {name} stands {len(found)} times; give it once")
    return found[0] if found else None


def clone_mode(tags: Sequence[str], default: CloneMethod) -> CloneMethod:
    for tag, rest in values(tags, "cloneMode"):
        try:
            (value,) = rest
            return CloneMethod(value)
        except ValueError:
            raise InvalidArgument(
                f"system tag[{tag}] must be cloneMode::{'|'.join(CloneMethod)}"
            ) from None
    return default


def static_ips(tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(L3 network, address) as it is usually written; IPv6's `::` is `--` in a tag."""
    for tag, rest in values(tags, "staticIp"):
        address = _ip(rest[1]) if len(rest) == 2 else None
        if address is None or not UUID.fullmatch(rest[0]):
            raise InvalidArgument(
                f"system tag[{tag}] must be staticIp::<uuid of an L3 network>::<IPv4 address, or "
                "IPv6 address with -- for ::>"
            )
        yield rest[0], address


def _ip(text: str, version: int | None = None) -> str | None:
    for written in (text, text.replace("--", "::")):
        try:
            return checked_ip(written, version=version)
        except ValueError:
            continue
    return None


def custom_macs(tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(L3 network, MAC)."""
    for tag, rest in values(tags, "customMac"):
        form = f"system tag[{tag}] must be customMac::<uuid of an L3 network>::<MAC>"
        if len(rest) != 2 or not UUID.fullmatch(rest[0]):
            raise InvalidArgument(form)
        try:
            yield rest[0], checked_mac(rest[1])
        except ValueError as error:
            raise InvalidArgument(f"{form}: {error}") from None


def subnets(tags: Sequence[str]) -> tuple[Subnet, ...]:
    """One a network, in the order of their first tags."""
    found: dict[str, dict[str, str]] = {}
    for name in _STATIC_TAGS:
        for tag, rest in values(tags, name):
            if len(rest) != 2 or not UUID.fullmatch(rest[0]) or not _is_valid(name, rest[1]):
                raise InvalidArgument(
                    f"system tag[{tag}] must be {name}::<uuid of an L3 network>::<value>"
                )
            if found.setdefault(rest[0], {}).setdefault(name, rest[1]) != rest[1]:
                raise InvalidArgument(f"system tag {name} says two things of one network")
    return tuple(
        Subnet(
            network,
            netmask=said.get("ipv4Netmask"),
            gateway=said.get("ipv4Gateway"),
            prefix6=int(said["ipv6Prefix"]) if "ipv6Prefix" in said else None,
            gateway6=_ip(said["ipv6Gateway"]) if "ipv6Gateway" in said else None,
        )
        for network, said in found.items()
    )


def _is_valid(name: str, value: str) -> bool:
    try:
        if name == "ipv6Prefix":
            checked_prefix(value)
        elif name == "ipv4Netmask":
            checked_netmask(value)
        else:
            return _ip(value, 4 if name == "ipv4Gateway" else 6) is not None
    except ValueError:
        return False
    return True


def cdroms(tags: Sequence[str]) -> tuple[str | None, ...] | None:
    for tag, rest in values(tags, "createWithoutCdRom"):
        if rest not in (["true"], ["false"]):
            raise InvalidArgument(f"system tag[{tag}] must be createWithoutCdRom::true or false")
        if rest == ["true"]:
            return ()
    for tag, rest in values(tags, "cdroms"):
        if not rest or not all(v in {"empty", "none"} or UUID.fullmatch(v) for v in rest):
            raise InvalidArgument(
                f"system tag[{tag}] must be cdroms::<ISO's uuid, empty or none>, one a drive"
            )
        return tuple(None if value == "empty" else value for value in rest if value != "none")
    return None


def data_storage(tags: Sequence[str]) -> str | None:
    return one(tags, "primaryStorageUuidForDataVolume") or None


def machine(tags: Sequence[str]) -> MachineWish:
    return MachineWish(
        boot_mode=_choice(tags, "bootMode", BootMode),
        boot_order=_boot_order(tags),
        priority=_choice(tags, "vmPriority", VmPriority),
        console_password=_console_password(tags),
        clean_traffic=_flag(tags, "cleanTraffic"),
        virtio=_fixed(tags, "driver", "virtio"),
        guest_agent=_fixed(tags, "qemuga", ""),
    )


def _choice(tags: Sequence[str], name: str, kind: type[E]) -> E | None:
    given = one(tags, name)
    if given is None:
        return None
    try:
        return kind(given)
    except ValueError:
        raise InvalidArgument(
            f"system tag[{name}::{given}] must be {name}::{'|'.join(kind)}"
        ) from None


def _flag(tags: Sequence[str], name: str) -> bool:
    given = one(tags, name)
    if given not in {None, "true", "false"}:
        raise InvalidArgument(f"system tag[{name}::{given}] must be {name}::true or false")
    return given == "true"


def _fixed(tags: Sequence[str], name: str, value: str) -> bool:
    """Whether the tag, which can say one thing only, is there."""
    given = one(tags, name)
    if given not in {None, value}:
        form = f"{name}::{value}" if value else name
        raise InvalidArgument(f"system tag[{name}::{given}] must be {form}")
    return given is not None


def _boot_order(tags: Sequence[str]) -> tuple[BootDevice, ...]:
    given = one(tags, "bootOrder")
    if given is None:
        return ()
    try:
        order = tuple(BootDevice(name.strip()) for name in given.split(","))
    except ValueError:
        order = ()
    if not order or len(set(order)) < len(order):
        raise InvalidArgument(
            f"system tag[bootOrder::{given}] must be bootOrder:: and one or more of "
            f"{', '.join(BootDevice)}, each once, with commas between"
        )
    return order


def _console_password(tags: Sequence[str]) -> str | None:
    given = one(tags, "consolePassword")
    if given is not None and not _CONSOLE_PASSWORD.fullmatch(given):
        raise InvalidArgument(
            "system tag consolePassword must have 1 to 8 visible ASCII characters: VNC compares no "
            "more"
        )
    return given
