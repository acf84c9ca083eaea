"""What a request may say of guests, and what each clone is called."""

import base64
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.domain.errors import CloneError, InvalidArgument, NotImplementedHere
from app.domain.guest import (
    MAX_USER_DATA,
    MAX_WINDOWS_NAME,
    WINDOWS,
    GuestIdentity,
    GuestWish,
    check_platform,
    checked_hostname,
    checked_ssh_key,
    checked_user_data,
    hostname_of,
    is_password_hash,
)

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
HASH = f"$6$rounds=5000$saltsalt${'x' * 86}"
NAMES = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255
) | st.from_regex(r"[a-zA-Z0-9._ -]{1,70}", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web-001", "web-001"),
        ("Web-001", "web-001"),  # hostnames have no case
        ("001", "001"),  # RFC 1123 lets a label begin with a digit
        ("a--b", "a--b"),
        ("x" * 63, "x" * 63),
    ],
)
def test_a_name_that_is_a_label_is_the_hostname(name: str, hostname: str) -> None:
    assert hostname_of(name) == hostname


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("web 001", "web-001-"),
        ("web_001", "web-001-"),
        ("web-001.example.com", "web-001-example-com-"),
        ("-web-", "web-"),
        ("数据库-01", "01-"),
        ("数据库", "vm-"),
        ("../../etc/passwd", "etc-passwd-"),
        ("x" * 64, "x" * 54 + "-"),
        ("x" * 53 + "_tail", "x" * 53 + "-"),
    ],
)
def test_any_other_name_keeps_what_it_can_and_gets_a_digest(name: str, begins: str) -> None:
    hostname = hostname_of(name)
    assert re.fullmatch(re.escape(begins) + "[a-z2-7]{8}", hostname)
    assert hostname_of(name) == hostname


@given(name=NAMES, platform=st.sampled_from(["Linux", WINDOWS]))
def test_every_name_has_a_valid_hostname(name: str, platform: str) -> None:
    hostname = hostname_of(name, platform)
    assert LABEL.fullmatch(hostname)
    assert checked_hostname(hostname) == hostname
    check_platform(GuestWish(hostname=hostname), platform)


@given(one=NAMES, other=NAMES, platform=st.sampled_from(["Linux", WINDOWS]))
def test_names_that_differ_by_more_than_case_have_hostnames_that_differ(
    one: str, other: str, platform: str
) -> None:
    alike = one.lower() == other.lower()
    assert (hostname_of(one, platform) == hostname_of(other, platform)) is alike


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web-001", "web-001"),
        ("x" * 15, "x" * 15),
        ("frontend-web-001", r"fronte-[a-z2-7]{8}"),  # what is cut would make 001 and 002 alike
        ("001", r"001-[a-z2-7]{8}"),  # no computer name of digits alone
    ],
)
def test_windows_names_are_short(name: str, hostname: str) -> None:
    assert re.fullmatch(hostname, hostname_of(name, WINDOWS))


@pytest.mark.parametrize("text", ["web-1", "WEB-1", "1", "x" * 63])
def test_a_label_is_taken_in_lower_case(text: str) -> None:
    assert checked_hostname(text) == text.lower()


@pytest.mark.parametrize(
    "text",
    ["", "-web", "web-", "web.example.com", "web_1", "web 1", "wéb", "x" * 64, "web\n", "web\0"],
)
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a valid name"):
        checked_hostname(text)


def ssh_key(
    key_type: str, named: str | None = None, more: bytes = b"\0\0\0\x20" + b"k" * 32
) -> str:
    name = (named or key_type).encode()
    blob = struct.pack(">I", len(name)) + name + more
    return f"{key_type} {base64.b64encode(blob).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        ssh_key("ssh-ed25519"),
        ssh_key("ssh-ed25519") + " bob@example.com",
        ssh_key("ssh-ed25519") + " Bob's second key ünd more",
        ssh_key("ssh-rsa"),
        ssh_key("ecdsa-sha2-nistp256"),
        ssh_key("sk-ssh-ed25519@openssh.com"),
        ssh_key("ssh-ed25519") + "\n",  # as read from a file
    ],
)
def test_a_public_key_is_taken_as_it_is(text: str) -> None:
    assert checked_ssh_key(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",  # no key in it
        ssh_key("ssh-ed25519", more=b""),
        ssh_key("ssh-ed25519", named="ssh-rsa"),  # it names another type itself
        ssh_key("ssh-dss"),  # not taken by sshd any more
        ssh_key("ssh-ed25519-cert-v01@openssh.com"),  # no key of an authorized_keys file
        f'command="sh" {ssh_key("ssh-ed25519")}',  # options
        ssh_key("ssh-ed25519") + "\n" + ssh_key("ssh-rsa"),  # two
        ssh_key("ssh-ed25519") + " a\nssh-rsa b",
        ssh_key("ssh-ed25519") + " " + "x" * (16 << 10),
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="must be one public key"):
        checked_ssh_key(text)


@pytest.mark.parametrize(
    "content",
    [
        b"#cloud-config\nruncmd: []\n",
        b"#cloud-config-archive\n[]\n",
        b"\n\n#Cloud-Config\n",  # cloud-init minds neither
        b"#!/bin/sh\ntrue\n",
        b"#cloud-boothook\n",
        b"#include https://example.com/x\n",
        b"## template: jinja\n#cloud-config\n",
        b"Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x--\n",
        b"From nobody\nMIME-Version: 1.0\n",
        b"\x1f\x8b\x08\0\0\0",
        b"#ps1_sysnative\n",
        b"rem cmd\n",
    ],
)
def test_user_data_that_a_guest_acts_upon_is_taken(content: bytes) -> None:
    assert base64.b64decode(checked_user_data(base64.b64encode(content).decode())) == content


def test_base64_in_lines_is_taken() -> None:
    content = b"#!/bin/sh\n" + b"true\n" * 100
    text = base64.encodebytes(content).decode()
    assert "\n" in text.strip()
    assert checked_user_data(text) == base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no guest acts upon"),
        ("#!/bin/sh", "must be base64"),  # not encoded
        ("IyEvYmluL3N", "must be base64"),  # cut
        ("ü", "must be base64"),
        (base64.b64encode(b"hello: world").decode(), "no guest acts upon"),
        (base64.b64encode(b"# cloud-config").decode(), "no guest acts upon"),
        (
            base64.b64encode(b"#!".ljust(MAX_USER_DATA + 1)).decode(),
            f"has {MAX_USER_DATA + 1} bytes",
        ),
    ],
)
def test_user_data_that_would_have_no_effect_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        checked_user_data(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (HASH, True),
        (f"$6$salt${'./09azAZ' * 10}123456", True),
        ("secret", False),
        ("$6$secret", False),  # a password that begins as a hash does
        (f"$5$salt${'x' * 86}", False),
        (f"{HASH}\nbob:x", False),
        (f"{HASH}'; reboot; '", False),
        (HASH[:-1], False),
    ],
)
def test_a_hash_is_told_from_a_password(text: str, whole: bool) -> None:
    assert is_password_hash(text) is whole


@pytest.mark.parametrize(
    ("wish", "platform", "error"),
    [
        (GuestWish(root_password_hash=HASH), "Linux", None),
        (GuestWish(hostname="x" * 63), "Linux", None),
        (GuestWish(hostname="x" * MAX_WINDOWS_NAME), WINDOWS, None),
        (GuestWish(user_data="IyE=", ssh_keys=("k",)), WINDOWS, None),
        (GuestWish(root_password_hash=HASH), WINDOWS, NotImplementedHere),
        (GuestWish(hostname="x" * (MAX_WINDOWS_NAME + 1)), WINDOWS, InvalidArgument),
        (GuestWish(hostname="001"), WINDOWS, InvalidArgument),
        (GuestWish(platform="linux"), "Linux", None),
        (GuestWish(platform="Windows"), "Linux", InvalidArgument),
        (GuestWish(platform="Linux"), WINDOWS, InvalidArgument),
    ],
)
def test_nothing_is_accepted_that_the_platform_would_not_do(
    wish: GuestWish, platform: str, error: type[CloneError] | None
) -> None:
    if error is None:
        check_platform(wish, platform)
        return
    with pytest.raises(error):
        check_platform(wish, platform)


@pytest.mark.parametrize(
    "value",
    [
        GuestWish(hostname="web-1", ssh_keys=("a", "b"), user_data="IyE=", root_password_hash=HASH),
        GuestIdentity("0" * 32, "web-1", ("a",), "IyE=", HASH),
    ],
)
def test_both_survive_being_stored(value: GuestWish | GuestIdentity) -> None:
    adapter = TypeAdapter(type(value))
    assert adapter.validate_json(adapter.dump_json(value)) == value
