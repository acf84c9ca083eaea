"""A CloneVmInstance request as a value: parsed, checked by itself, not yet against the inventory.

Texts of refusals are ZStack's where it has one; source: docs/zstack-compatibility.md.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain import system_tags as tags_of
from app.domain.disk_params import DiskWishes, parse_disks
from app.domain.elements import UNSTORABLE, UUID, embedded_json
from app.domain.errors import InvalidArgument, NotImplementedHere, ResourceNotFound
from app.domain.guest import (
    GuestWish,
    checked_hostname,
    checked_ssh_key,
    checked_user_data,
)
from app.domain.machine_wish import MachineWish
from app.domain.nic_params import NicWish, parse_nics
from app.domain.plan import CloneMethod, CloneStrategy
from app.domain.spec import VolumeChoice
from app.domain.system_tags import Subnet

MESSAGE = "org.zstack.header.vm.APICloneVmInstanceMsg"
MAX_NAMES = 10_000
MAX_NAME_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 2048

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Of vmCustomSpecification, what needs software in a Windows guest that nobody says it has.
_WINDOWS_FIELDS = (
    "generateSID",
    "domainMode",
    "domainName",
    "domainUsername",
    "domainPassword",
    "organization",
)
# What a JustCreate asks for beyond its VM's record.
_BEYOND_THE_RECORD = (
    "userTags",
    "rootVolumeSystemTags",
    "dataVolumeSystemTags",
    "full",
    "resetTpm",
    "vmNicParams",
    "diskAOs",
    "vmCustomSpecification",
)


@dataclass(frozen=True, slots=True)
class CloneRequest:
    names: tuple[str, ...]
    strategy: CloneStrategy = CloneStrategy.INSTANT_START
    with_data_volumes: bool = False  # ZStack's `full`
    root_mode: CloneMethod = CloneMethod.AUTO
    data_mode: CloneMethod = CloneMethod.AUTO
    primary_storage_for_root: str | None = None
    primary_storage_for_data: str | None = None
    root_volume_system_tags: tuple[str, ...] = ()
    data_volume_system_tags: tuple[str, ...] = ()
    cluster_uuid: str | None = None
    host_uuid: str | None = None
    description: str | None = None
    static_ips: tuple[tuple[str, str], ...] = ()  # (L3 network, address), in the tags' order
    cdroms: tuple[str | None, ...] | None = None  # ISO's image uuid or None a drive
    system_tags: tuple[str, ...] = ()
    user_tags: tuple[str, ...] = ()
    volumes: tuple[VolumeChoice, ...] = ()
    guest: GuestWish = field(default_factory=GuestWish)
    reset_tpm: bool = False
    nics: tuple[NicWish, ...] = ()  # none: as the source
    disks: DiskWishes = field(default_factory=DiskWishes)
    machine: MachineWish = field(default_factory=MachineWish)
    custom_macs: tuple[tuple[str, str], ...] = ()  # (L3 network, MAC), in the tags' order
    subnets: tuple[Subnet, ...] = ()
    guest_fields: tuple[str, ...] = ()  # what has no effect where no guest boots
    ignored: tuple[str, ...] = ()  # what was accepted and has no effect in this version


def parse_clone_request(parameters: Mapping[str, Any]) -> CloneRequest:
    """Raises InvalidArgument that names the field, NotImplementedHere for what vmclone has no way
    to do, and ResourceNotFound for what it has none of."""
    system_tags = _tags(parameters, "systemTags")
    root_tags = _tags(parameters, "rootVolumeSystemTags")
    data_tags = _tags(parameters, "dataVolumeSystemTags")
    common = tags_of.clone_mode(system_tags, CloneMethod.AUTO)
    names = _names(parameters)
    specification = _specification(parameters)
    return CloneRequest(
        names=names,
        strategy=_strategy(parameters),
        with_data_volumes=_boolean(parameters, "full"),
        root_mode=tags_of.clone_mode(root_tags, common),
        data_mode=tags_of.clone_mode(data_tags, common),
        primary_storage_for_root=_uuid(parameters, "primaryStorageUuidForRootVolume"),
        primary_storage_for_data=_uuid(parameters, "primaryStorageUuidForDataVolume")
        or tags_of.data_storage(system_tags),
        root_volume_system_tags=root_tags,
        data_volume_system_tags=data_tags,
        cluster_uuid=_uuid(parameters, "clusterUuid"),
        host_uuid=_uuid(parameters, "hostUuid"),
        description=_text(parameters, "description", MAX_DESCRIPTION_LENGTH),
        static_ips=tuple(tags_of.static_ips(system_tags)),
        cdroms=tags_of.cdroms(system_tags),
        system_tags=tags_of.known(system_tags),
        user_tags=_tags(parameters, "userTags"),
        volumes=tuple(_volumes(parameters)),
        guest=_guest(system_tags, specification, len(names)),
        reset_tpm=_boolean(parameters, "resetTpm"),
        nics=parse_nics(_list(parameters, "vmNicParams"), len(names)),
        disks=parse_disks(_list(parameters, "diskAOs")),
        machine=tags_of.machine(system_tags),
        custom_macs=tuple(tags_of.custom_macs(system_tags)),
        subnets=tags_of.subnets(system_tags),
        guest_fields=tuple(_guest_fields(parameters, system_tags, specification)),
        ignored=tuple(dict.fromkeys(_ignored(parameters, system_tags))),
    )


def _names(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    given = parameters.get("names")
    if given is None:
        raise InvalidArgument(f"field[names] of message[{MESSAGE}] is mandatory, can not be null")
    if not isinstance(given, list) or not given:
        raise InvalidArgument(f"field[names] of message[{MESSAGE}] must be a nonempty list")
    if len(given) > MAX_NAMES:
        raise InvalidArgument(
            f"field[names] of message[{MESSAGE}] has {len(given)} elements, at most {MAX_NAMES} "
            "are allowed in one request; send the rest in another one"
        )
    return tuple(_name(element, number) for number, element in enumerate(given))


def _name(element: Any, number: int) -> str:
    if element is None:
        raise InvalidArgument(f"field[names] of message[{MESSAGE}] cannot contain a NULL element")
    if isinstance(element, bool) or not isinstance(element, str | int | float):
        raise InvalidArgument(f"field[names][{number}] of message[{MESSAGE}] must be a string")
    name = str(element).strip()
    if not name:
        raise InvalidArgument(f"field[names][{number}] of message[{MESSAGE}] is an empty string")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidArgument(
            f"field[names][{number}] of message[{MESSAGE}] exceeds max length of string. expected "
            f"was <= {MAX_NAME_LENGTH}, actual was {len(name)}"
        )
    if _CONTROL.search(name):
        raise InvalidArgument(
            f"field[names][{number}] of message[{MESSAGE}] contains a control character"
        )
    return name


def _strategy(parameters: Mapping[str, Any]) -> CloneStrategy:
    given = _text(parameters, "strategy", MAX_NAME_LENGTH)
    if given is None:
        return CloneStrategy.INSTANT_START
    try:
        return CloneStrategy(given)
    except ValueError:
        raise InvalidArgument(
            f"valid value for field[strategy] of message[{MESSAGE}] are "
            f"[{', '.join(CloneStrategy)}], but {given} found"
        ) from None


def _boolean(parameters: Mapping[str, Any], field: str) -> bool:
    given = parameters.get(field)
    if isinstance(given, str) and given.strip().lower() in {"true", "false"}:
        return given.strip().lower() == "true"
    if given is None or isinstance(given, bool):
        return bool(given)
    raise InvalidArgument(
        f"Invalid value for boolean field [{field}], [{given}] is not a valid boolean string"
        "[true, false]."
    )


def _text(parameters: Mapping[str, Any], field: str, limit: int) -> str | None:
    given = parameters.get(field)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise InvalidArgument(f"field[{field}] of message[{MESSAGE}] must be a string")
    value = str(given).strip()
    if len(value) > limit:
        raise InvalidArgument(
            f"field[{field}] of message[{MESSAGE}] exceeds max length of string. expected was <= "
            f"{limit}, actual was {len(value)}"
        )
    if UNSTORABLE.search(value):
        raise InvalidArgument(f"field[{field}] of message[{MESSAGE}] contains a NUL character")
    return value


def _uuid(parameters: Mapping[str, Any], field: str) -> str | None:
    """An empty string is as good as none: Go clients send it."""
    return _text(parameters, field, MAX_NAME_LENGTH) or None


def _volumes(parameters: Mapping[str, Any]) -> Iterator[VolumeChoice]:
    given = parameters.get("volumes")
    if given is None:
        return
    if not isinstance(given, list) or not all(isinstance(choice, dict) for choice in given):
        raise InvalidArgument("field[volumes] must be a list of objects, one a source volume")
    seen: set[str] = set()
    for number, choice in enumerate(given):
        where = f"volumes[{number}]"
        unknown = sorted(set(choice) - {"uuid", "include", "mode", "primaryStorageUuid"})
        if unknown:
            raise InvalidArgument(
                f"unknown field[{where}.{unknown[0]}]; a volume has uuid, include, mode and "
                "primaryStorageUuid"
            )
        uuid = choice.get("uuid")
        if not isinstance(uuid, str) or not UUID.fullmatch(uuid) or uuid in seen:
            raise InvalidArgument(f"field[{where}.uuid] must be a source volume's uuid, given once")
        seen.add(uuid)
        include = choice.get("include")
        if include is not None and not isinstance(include, bool):
            raise InvalidArgument(f"field[{where}.include] must be true or false")
        yield VolumeChoice(
            uuid=uuid,
            include=include,
            method=_volume_mode(choice.get("mode"), where),
            storage_uuid=_uuid(choice, "primaryStorageUuid"),
        )


def _volume_mode(given: Any, where: str) -> CloneMethod | None:
    if given is None:
        return None
    try:
        return CloneMethod(given)
    except ValueError:
        raise InvalidArgument(f"field[{where}.mode] is one of {', '.join(CloneMethod)}") from None


def _tags(parameters: Mapping[str, Any], field: str) -> tuple[str, ...]:
    given = parameters.get(field)
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(tag, str) for tag in given):
        raise InvalidArgument(f"field[{field}] of message[{MESSAGE}] must be a list of strings")
    if any("\x00" in tag for tag in given):
        raise InvalidArgument(f"field[{field}] of message[{MESSAGE}] contains a NUL character")
    return tuple(dict.fromkeys(tag.strip() for tag in given))


def _specification(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises InvalidArgument, and NotImplementedHere for what would have no effect."""
    given = embedded_json("vmCustomSpecification", parameters.get("vmCustomSpecification"))
    if given in (None, {}):
        return {}
    if not isinstance(given, dict):
        raise InvalidArgument(
            f"field[vmCustomSpecification] of message[{MESSAGE}] must be an object"
        )
    for name in _WINDOWS_FIELDS:
        if given.get(name):
            raise NotImplementedHere(
                f"field[vmCustomSpecification.{name}] needs software in the guest that vmclone "
                "cannot see; leave it out and let the guest do it at its first boot"
            )
    if given.get("uuid"):
        raise ResourceNotFound(
            f"invalid field[vmCustomSpecification.uuid], resource[uuid:{given['uuid']}, "
            "type:VmCustomSpecificationVO] not found"
        )
    return given


def _guest(system_tags: Sequence[str], specification: Mapping[str, Any], names: int) -> GuestWish:
    hostname = tags_of.one(system_tags, "hostname") or _text(specification, "hostname", 255) or None
    if hostname is not None and names > 1:
        raise InvalidArgument(
            f"hostname[{hostname}] names one guest, and the request has {names} names; leave it "
            "out, and each guest is called as its VM"
        )
    password = tags_of.one(system_tags, "rootPassword") or _text(
        specification, "rootPassword", 1024
    )
    user_data = tags_of.one(system_tags, "userdata")
    identity = tags_of.one(system_tags, "identity")
    if identity not in {None, "auto", "none"}:
        raise InvalidArgument(f"system tag[identity::{identity}] must be identity::auto or none")
    return GuestWish(
        applied=identity != "none",
        hostname=checked_hostname(hostname) if hostname else None,
        ssh_keys=tuple(
            checked_ssh_key("::".join(values))
            for _, values in tags_of.values(system_tags, "sshkey")
        ),
        user_data=checked_user_data(user_data) if user_data else None,
        root_password_hash=password or None,
        platform=_text(specification, "platform", MAX_NAME_LENGTH) or None,
    )


def _guest_fields(
    parameters: Mapping[str, Any], system_tags: Sequence[str], specification: Mapping[str, Any]
) -> Sequence[str]:
    first = dict.fromkeys(tag.partition("::")[0] for tag in system_tags)
    fields = [f"systemTags[{name}]" for name in first if name in tags_of.OF_GUESTS]
    if specification:
        fields.append("vmCustomSpecification")
    if _boolean(parameters, "resetTpm"):
        fields.append("resetTpm")
    return fields


def _ignored(parameters: Mapping[str, Any], system_tags: Sequence[str]) -> Iterator[str]:
    """What has no effect in this version, by name. Its form is checked all the same."""
    record_alone = _strategy(parameters) is CloneStrategy.JUST_CREATE
    for tag in system_tags:
        first = tag.partition("::")[0]
        if record_alone or first not in tags_of.EFFECTIVE | tags_of.OF_GUESTS:
            yield f"systemTags[{first}]"
    if record_alone:
        yield from (beyond for beyond in _BEYOND_THE_RECORD if parameters.get(beyond))


def _list(parameters: Mapping[str, Any], field: str) -> list[Any]:
    """Newer clients send the list as a string of JSON; an empty one is as good as none."""
    given = embedded_json(f"{field}] of message[{MESSAGE}", parameters.get(field))
    if given is not None and not isinstance(given, list):
        raise InvalidArgument(f"field[{field}] of message[{MESSAGE}] must be a list")
    return given or []
