"""What UpdateVmInstance and StopVmInstance ask for, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidArgument

MAX_NAME, MAX_DESCRIPTION = 255, 2048
MAX_CPU, MAX_MEMORY = 4096, 1 << 50
_UNABLE = ("defaultL3NetworkUuid", "platform", "guestOsType", "reservedMemorySize")
_MESSAGE = "APIUpdateVmInstanceMsg"


@dataclass(frozen=True, slots=True)
class VmChange:
    texts: Mapping[str, str]  # name and description, as far as they change
    state: str | None
    cpu_num: int | None
    memory_size: int | None  # bytes


def parse_change(request: Mapping[str, Any]) -> VmChange:
    """Raises InvalidArgument."""
    for field in _UNABLE:
        if request.get(field):
            raise InvalidArgument(
                f"field[{field}] of message[{_MESSAGE}] cannot be changed here; leave it out"
            )
    texts = {}
    for field, most, least in (("name", MAX_NAME, 1), ("description", MAX_DESCRIPTION, 0)):
        value = request.get(field)
        if value is None:
            continue
        text = str(value).strip()
        control = field == "name" and any(ord(c) < 32 or ord(c) == 127 for c in text)
        if not least <= len(text) <= most or control or "\x00" in text:
            raise InvalidArgument(
                f"field[{field}] of message[{_MESSAGE}] has {least} to {most} characters without "
                "control characters"
            )
        texts[field] = text
    state = request.get("state")
    if state not in (None, "", "Running", "Stopped"):
        raise InvalidArgument(
            f"field[state] of message[{_MESSAGE}] must be one of [Stopped, Running]"
        )
    return VmChange(
        texts,
        state or None,
        _number(request, "cpuNum", MAX_CPU),
        _number(request, "memorySize", MAX_MEMORY),
    )


def parse_stop(request: Mapping[str, Any]) -> bool:
    """Whether the guest is asked first. Raises InvalidArgument."""
    given = request.get("type") or "grace"
    if given not in ("grace", "cold"):
        raise InvalidArgument(
            "field[type] of message[APIStopVmInstanceMsg] must be one of [grace, cold], but was "
            f"[{given!s:.50}]"
        )
    return bool(given == "grace")


def _number(request: Mapping[str, Any], field: str, most: int) -> int | None:
    value = request.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidArgument(
            f"field[{field}] of message[{_MESSAGE}] is a number from 1 to {most}, but was "
            f"[{value!s:.50}]"
        )
    return value
