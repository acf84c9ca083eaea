"""Is a guest fit to be a template? Judged by its files, as docs/guest-identity.md says.

The files are the guest's: whoever is root there writes them, so nothing is done by them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import yaml

CLOUD_CONFIG = ("/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg")
DISABLED = "/etc/cloud/cloud-init.disabled"
COMMAND_LINE = "/proc/cmdline"
INTERFACES = "/etc/network/interfaces"
_REDHATS = "/etc/sysconfig/network-scripts/ifcfg-*"
# Read, because a name alone does not tell whose they are.
READ = (*CLOUD_CONFIG, COMMAND_LINE, INTERFACES, _REDHATS)
_SEEDS = "/var/lib/cloud/seed/nocloud*/*"
_LEFT = (
    "/etc/netplan/*.yaml",
    "/etc/network/interfaces.d/*",
    "/etc/NetworkManager/system-connections/*",
    "/etc/systemd/network/*.network",
    "/etc/udev/rules.d/70-persistent-net.rules",
)
# Known by their names alone: some hold secrets.
NAMED = (DISABLED, *_LEFT, _SEEDS)
_OWN = ("*/50-cloud-init*", "*/cloud-init-*", "*/10-cloud-init-*", "*/ifcfg-lo")
_STANZA = re.compile(r"^\s*iface\s+(?!lo\b)(\S+)", re.MULTILINE)

Files = Mapping[str, str]  # content by path; "" where only the name is known


@dataclass(frozen=True, slots=True)
class Remark:
    what: str
    held: bool
    text: str  # what was seen; what to do where it does not hold


def judge(files: Files) -> Iterator[Remark]:
    """In the checklist's order; the rest is left out where there is no cloud-init."""
    config = {path: content for path, content in files.items() if _is(path, CLOUD_CONFIG)}
    if not config:
        yield Remark(
            "cloud-init",
            False,
            "not found: clones would come up as this VM. Install it, or ask for identity::none",
        )
        return
    yield _enabled(files)
    settings = [(path, _parsed(config[path])) for path in sorted(config, key=_order)]
    yield _datasource(settings)
    yield from _keys(settings)
    yield _network(settings, files)
    seeds = _found(files, _SEEDS)
    yield Remark(
        "seed folder",
        not seeds,
        f"goes before the clone's seed: remove {seeds}" if seeds else "none",
    )


def _is(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _found(files: Files, pattern: str) -> str:
    return ", ".join(sorted(path for path in files if fnmatch(path, pattern)))


def _order(path: str) -> tuple[bool, str]:
    """As cloud-init reads them: the later goes before the earlier."""
    return path != CLOUD_CONFIG[0], path


def _parsed(content: str) -> dict[str, Any]:
    """Empty for what cloud-init could not read either."""
    try:
        parsed = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


Settings = list[tuple[str, dict[str, Any]]]


def _last(settings: Settings, key: str) -> tuple[str, Any] | None:
    """Where the setting comes from that counts, and its value."""
    return next(((path, found[key]) for path, found in reversed(settings) if key in found), None)


def _enabled(files: Files) -> Remark:
    if DISABLED in files:
        return Remark("cloud-init", False, f"switched off: remove {DISABLED}")
    if "cloud-init=disabled" in files.get(COMMAND_LINE, "").split():
        return Remark("cloud-init", False, "switched off: take cloud-init=disabled from the boot")
    return Remark("cloud-init", True, "there and on")


def _datasource(settings: Settings) -> Remark:
    found = _last(settings, "datasource_list")
    if found is None:
        return Remark("datasources", True, "cloud-init's own list, which has NoCloud")
    path, names = found
    if isinstance(names, list) and "NoCloud" in names:
        return Remark("datasources", True, f"NoCloud is among those of {path}")
    return Remark(
        "datasources",
        False,
        f"datasource_list in {path} is {str(names)[:200]}: add NoCloud, or the seed is not read",
    )


def _keys(settings: Settings) -> Iterator[Remark]:
    found = _last(settings, "manual_cache_clean")
    if found and found[1]:
        text = f"true in {found[0]}: clones would keep this VM's instance; remove it"
        yield Remark("manual_cache_clean", False, text)
    found = _last(settings, "bootcmd")
    if found:
        text = f"in {found[0]}: the seed's own takes its place; make it a systemd unit"
        yield Remark("bootcmd", False, text)


def _network(settings: Settings, files: Files) -> Remark:
    found = _last(settings, "network")
    if found and isinstance(found[1], dict) and found[1].get("config") == "disabled":
        text = f"cloud-init may not configure it: remove `network` from {found[0]}"
        return Remark("network", False, text)
    left = sorted(path for path in files if _is_left(path, files[path]))
    if left:
        text = f"left beside cloud-init's own files, so that addresses may stay: {', '.join(left)}"
        return Remark("network", False, f"{text}; remove them, or what they say of its NICs")
    return Remark("network", True, "cloud-init's alone")


def _is_left(path: str, content: str) -> bool:
    if path == INTERFACES:
        return _STANZA.search(content) is not None
    if not _is(path, (*_LEFT, _REDHATS)) or _is(path, _OWN):
        return False
    return "cloud-init" not in content  # with which it signs what it writes
