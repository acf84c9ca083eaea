"""Who a clone is to its guest: what its seed says beside its NICs. Pure values."""

import base64
import binascii
import re
from dataclasses import dataclass

from app.domain.errors import InvalidArgument

MAX_HOSTNAME = 63
MAX_USER_DATA = 64 << 10
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NOT_IN_LABELS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class GuestWish:
    """What a request asks for all of its clones' guests."""

    applied: bool = True  # False: the guest is left as its source's
    hostname: str | None = None  # None: made of each clone's name
    ssh_keys: tuple[str, ...] = ()
    user_data: str | None = None  # base64
    root_password_hash: str | None = None  # crypt(3)


@dataclass(frozen=True, slots=True)
class GuestIdentity:
    """One clone's."""

    instance_id: str
    hostname: str
    ssh_keys: tuple[str, ...] = ()
    user_data: str | None = None  # base64
    root_password_hash: str | None = None


def hostname_of(vm_name: str) -> str:
    """A label made of a VM's name. Source: RFC 1123, section 2.1."""
    label = _NOT_IN_LABELS.sub("-", vm_name.lower()).strip("-")[:MAX_HOSTNAME].strip("-")
    return label or "vm"


def checked_hostname(text: str) -> str:
    """Raises InvalidArgument for what is no label."""
    if not _LABEL.fullmatch(text.lower()):
        raise InvalidArgument(
            f"hostname[{text}] is not a valid name: 1 to {MAX_HOSTNAME} letters, digits and "
            "hyphens, none of these at its ends"
        )
    return text.lower()


def checked_user_data(text: str) -> str:
    """Raises InvalidArgument for what is not base64, or too long for a seed."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("userdata must be base64") from None
    if len(content) > MAX_USER_DATA:
        raise InvalidArgument(
            f"userdata has {len(content)} bytes, at most {MAX_USER_DATA} fit into a seed"
        )
    return text
