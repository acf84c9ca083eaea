"""Who a clone is to its guest: what its seed says beside its NICs. Pure values.

What a request says of guests is judged here, by its form; what becomes of it inside the guest is
written in docs/guest-identity.md.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import InvalidArgument, NotImplementedHere

WINDOWS = "Windows"  # ZStack's platform; every other one is told who it is as Linux is
MAX_HOSTNAME = 63
MAX_WINDOWS_NAME = 15  # NetBIOS; cloudbase-init cuts longer names, and they become alike
MAX_USER_DATA = 64 << 10
MAX_SSH_KEY = 16 << 10

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NOT_IN_LABELS = re.compile(r"[^a-z0-9-]+")
_DIGEST_BYTES = 5  # eight characters: ten thousand names differ but for one batch in 20,000
_SHA512_CRYPT = re.compile(r"\$6\$(rounds=\d{4,9}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}")

# What sshd takes in an authorized_keys file by default. Source: sshd(8), ssh-keygen(1).
_SSH_KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)

# How user data begins that something in a guest acts upon; all else is dropped there with a
# warning at most. Sources: the user data formats in cloud-init's and cloudbase-init's manuals.
_USER_DATA_STARTS = (
    b"#!",
    b"#cloud-config",  # -archive and -jsonp too
    b"#cloud-boothook",
    b"#include",
    b"#part-handler",
    b"## template: jinja",
    b"\x1f\x8b",  # gzip
    b"#ps1",
    b"rem cmd",
    b"<script>",
    b"<powershell>",
)


@dataclass(frozen=True, slots=True)
class GuestWish:
    """What a request asks for all of its clones' guests."""

    applied: bool = True  # False: the guest is left as its source's
    hostname: str | None = None  # None: made of each clone's name
    ssh_keys: tuple[str, ...] = ()
    user_data: str | None = None  # base64
    root_password_hash: str | None = None  # crypt(3)
    platform: str | None = None  # that the request takes the guests for


@dataclass(frozen=True, slots=True)
class GuestIdentity:
    """One clone's."""

    instance_id: str
    hostname: str
    ssh_keys: tuple[str, ...] = ()
    user_data: str | None = None  # base64
    root_password_hash: str | None = None


class Identity(StrEnum):
    """Whether a clone's guest became who its seed says."""

    APPLIED = "applied"
    IGNORED = "ignored"  # its agent answers, and says otherwise
    UNKNOWN = "unknown"  # nothing answered within the limit


@dataclass(frozen=True, slots=True)
class GuestReport:
    """What a guest's agent says of the guest; None for what it is not allowed to tell."""

    hostname: str | None
    addresses: frozenset[str] | None


def is_as_told(identity: GuestIdentity, addresses: Iterable[str], said: GuestReport) -> bool | None:
    """Whether a guest has its seed's hostname and `addresses`; None where it tells neither. Names
    are compared as hosts are: without domain and case."""
    told = []
    if said.hostname is not None:
        told.append(said.hostname.partition(".")[0].lower() == identity.hostname.lower())
    if said.addresses is not None:
        told.append(said.addresses.issuperset(addresses))
    return all(told) if told else None


def hostname_of(vm_name: str, platform: str = "Linux") -> str:
    """A label made of a VM's name: the name itself where it is one, in lower case.

    Any other name gets a digest of itself at its end, so that names that differ by more than
    their case make hostnames that differ, whatever had to be cut or replaced. Source: RFC 1123,
    section 2.1.
    """
    name = vm_name.lower()
    limit = MAX_WINDOWS_NAME if platform == WINDOWS else MAX_HOSTNAME
    if _LABEL.fullmatch(name) and len(name) <= limit and not _is_refused(name, platform):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:_DIGEST_BYTES]
    ending = f"-{base64.b32encode(digest).decode().lower()}"
    head = _NOT_IN_LABELS.sub("-", name).strip("-")[: limit - len(ending)].rstrip("-")
    return (head or "vm") + ending


def _is_refused(label: str, platform: str) -> bool:
    """Windows takes no computer name of digits alone."""
    return platform == WINDOWS and label.isdigit()


def checked_hostname(text: str) -> str:
    """Raises InvalidArgument for what is no label."""
    if not _LABEL.fullmatch(text.lower()):
        raise InvalidArgument(
            f"hostname[{text}] is not a valid name: 1 to {MAX_HOSTNAME} letters, digits and "
            "hyphens, none of these at its ends"
        )
    return text.lower()


def checked_ssh_key(text: str) -> str:
    """One public key, as in an authorized_keys file without options: type, base64, comment.

    Raises InvalidArgument for anything else: sshd passes over a line that it cannot read, and the
    clone could not be logged in to.
    """
    line = text.strip()
    key_type, _, rest = line.partition(" ")
    content = rest.split(maxsplit=1)[0] if rest.strip() else ""
    if len(line) > MAX_SSH_KEY or not line.isprintable() or not _is_key(key_type, content):
        raise InvalidArgument(
            f"sshkey[{line[:40]}] must be one public key without options, as ssh-keygen writes it: "
            f"a type ({', '.join(sorted(_SSH_KEY_TYPES))}), base64 and a comment; give one tag a "
            "key"
        )
    return line


def _is_key(key_type: str, content: str) -> bool:
    """Whether the content names its type itself. Source: RFC 4253, section 6.6."""
    try:
        blob = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return False
    named = len(key_type).to_bytes(4) + key_type.encode()
    return key_type in _SSH_KEY_TYPES and blob.startswith(named) and len(blob) > len(named)


def checked_user_data(text: str) -> str:
    """The base64 in one line. Raises InvalidArgument for what is not base64, too long for a seed
    or of no format that a guest acts upon."""
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("userdata must be base64") from None
    if len(content) > MAX_USER_DATA:
        raise InvalidArgument(
            f"userdata has {len(content)} bytes, at most {MAX_USER_DATA} fit into a seed; let it "
            "#include the rest by URL"
        )
    if not _is_acted_upon(content.lower()):
        raise InvalidArgument(
            f"userdata begins with {content[:20]!r}, which no guest acts upon; it must be "
            "#cloud-config, a script with #!, a MIME message of several parts, or another format "
            "of cloud-init or cloudbase-init"
        )
    return base64.b64encode(content).decode()


def _is_acted_upon(content: bytes) -> bool:
    return content.lstrip().startswith(_USER_DATA_STARTS) or b"mime-version:" in content[:4096]


def is_password_hash(text: str) -> bool:
    """Whether it is a whole crypt(3) hash of the kind that vmclone makes (SHA-512): a password
    that merely begins as one is none."""
    return _SHA512_CRYPT.fullmatch(text) is not None


def check_platform(wish: GuestWish, platform: str) -> None:
    """Raises NotImplementedHere and InvalidArgument for what a guest of that platform cannot
    be told, or another platform than the request takes it for."""
    if wish.platform is not None and wish.platform.lower() != platform.lower():
        raise InvalidArgument(
            f"field[vmCustomSpecification.platform] is {wish.platform}, but the source's platform "
            f"is {platform}; leave it out, or correct the inventory"
        )
    if platform != WINDOWS:
        return
    if wish.root_password_hash is not None:
        raise NotImplementedHere(
            "rootPassword has no effect in a Windows guest: vmclone keeps passwords hashed only, "
            "and Windows takes no hash; leave it out, and set the password by userdata (#ps1)"
        )
    name = wish.hostname
    if name is not None and (len(name) > MAX_WINDOWS_NAME or _is_refused(name, platform)):
        raise InvalidArgument(
            f"hostname[{name}] is not a valid computer name for Windows: at most "
            f"{MAX_WINDOWS_NAME} characters, not digits alone"
        )
