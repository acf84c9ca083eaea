"""What `vmclone clone` was asked for, as the body that /api/v1/clone-jobs takes."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from app.cli import lookups
from app.cli.client import Client, Json
from app.domain.clone_job import expand
from app.domain.errors import InvalidArgument

_RANGE = re.compile(r"\{\d+\.\.\d+\}")
_BRACE = re.compile(r"[{}]")
_NIC_KEYS = {
    "ip": "ip",
    "netmask": "netmask",
    "gateway": "gateway",
    "ip6": "ip6",
    "prefix6": "prefix6",
    "gateway6": "gateway6",
    "mac": "mac",
    "driver": "driverType",
    "queues": "multiQueueNum",
    "inbound": "inboundBandwidth",
    "outbound": "outboundBandwidth",
    "default": "isDefaultNic",
}
_NUMBERS = frozenset({"multiQueueNum", "inboundBandwidth", "outboundBandwidth"})
_VOLUME_KEYS = {"mode": "mode", "storage": "primaryStorageUuid", "include": "include"}
_FLAGS = frozenset({"isDefaultNic", "include"})
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,9})\s*(s|m|min|h|d|)")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options that name something that a query must find; None and () where not given."""

    host: str | None = None
    cluster: str | None = None
    storage: str | None = None
    data_storage: str | None = None
    nics: Sequence[str] = ()
    volumes: Sequence[str] = ()


def new_names_of(patterns: Sequence[str]) -> list[str]:
    """`names_of` for VMs that are to be made: other braces than a range's are a mistake in one.
    Raises typer.BadParameter."""
    for pattern in patterns:
        if _BRACE.search(_RANGE.sub("", pattern)):
            raise typer.BadParameter(
                f"[{pattern[:100]}] has braces that are no range, as in web-{{001..100}}"
            )
    return names_of(patterns)


def names_of(patterns: Sequence[str]) -> list[str]:
    """Each with its range expanded, if it has one, in order. Raises typer.BadParameter."""
    names: list[str] = []
    for pattern in patterns:
        try:
            names += expand(pattern) if _RANGE.search(pattern) else [pattern]
        except InvalidArgument as exc:
            raise typer.BadParameter(exc.details.removeprefix("field[namePattern] ")) from None
    return names


def read_request(file: Path | None) -> Json:
    """Further members of the body. Raises typer.BadParameter."""
    if file is None:
        return {}
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as exc:
        raise typer.BadParameter(f"{file} cannot be read as JSON: {exc}") from None
    if not isinstance(content, dict):
        raise typer.BadParameter(f"{file} is not one JSON object")
    return content


def guest_tags(
    hostname: str | None, ssh_key_files: Sequence[Path], user_data: Path | None
) -> list[str]:
    """System tags that tell guests who they are. Raises typer.BadParameter."""
    tags = [f"hostname::{hostname}"] if hostname else []
    try:
        for file in ssh_key_files:
            lines = [line.strip() for line in file.read_text().splitlines()]
            tags += [f"sshkey::{line}" for line in lines if line and not line.startswith("#")]
        if user_data is not None:
            tags.append(f"userdata::{base64.b64encode(user_data.read_bytes()).decode()}")
    except (OSError, ValueError) as exc:
        raise typer.BadParameter(f"a file cannot be read: {exc}") from None
    return tags


def seconds_of(text: str) -> int:
    """Raises typer.BadParameter."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time, as 90s, 30min, 2h or 1d")
    return int(found[1]) * _SECONDS[found[2]]


def element_of(text: str, keys: Mapping[str, str], first: str) -> Json:
    """`WHAT,key=value,flag` as an object of the API's. Raises typer.BadParameter."""
    what, *parts = text.split(",")
    element: dict[str, Any] = {first: what}
    for part in parts:
        key, sign, value = part.partition("=")
        name = keys.get(key)
        if name is None or bool(sign) == (name == "isDefaultNic"):
            raise typer.BadParameter(
                f"{part!r} in {text!r}: after the first word come "
                + ", ".join(k if v == "isDefaultNic" else f"{k}=…" for k, v in keys.items())
            )
        element[name] = _value(name, value, text)
    return element


def _value(name: str, value: str, text: str) -> Any:
    if name in _FLAGS and value in {"", "true", "false"}:
        return value != "false"
    if name in _NUMBERS and value.isdecimal():
        return int(value)
    if name in _FLAGS | _NUMBERS:
        kind = "true or false" if name in _FLAGS else "a number"
        raise typer.BadParameter(f"{value!r} in {text!r} is not {kind}")
    return value


def nic_of(text: str) -> Json:
    return element_of(text, _NIC_KEYS, "l3NetworkUuid")


def volume_of(text: str) -> Json:
    return element_of(text, _VOLUME_KEYS, "uuid")


async def resolved(client: Client, wishes: Wishes) -> Json:
    """Members of the body, with uuids for names. Raises ApiError for a name of nothing."""
    body: Json = {}
    for field, resource, given in (
        ("hostUuid", lookups.HOST, wishes.host),
        ("clusterUuid", lookups.CLUSTER, wishes.cluster),
        ("primaryStorageUuidForRootVolume", lookups.STORAGE, wishes.storage),
        ("primaryStorageUuidForDataVolume", lookups.STORAGE, wishes.data_storage),
    ):
        if given:
            body[field] = await lookups.uuid_of(client, resource, given)
    if wishes.nics:
        body["vmNicParams"] = [
            await _found(client, nic_of(nic), "l3NetworkUuid", lookups.NETWORK)
            for nic in wishes.nics
        ]
    if wishes.volumes:
        body["volumes"] = [
            await _found(client, volume_of(volume), "primaryStorageUuid", lookups.STORAGE)
            for volume in wishes.volumes
        ]
    return body


async def _found(client: Client, element: Json, field: str, resource: str) -> Json:
    if element.get(field):
        element[field] = await lookups.uuid_of(client, resource, element[field])
    return element
