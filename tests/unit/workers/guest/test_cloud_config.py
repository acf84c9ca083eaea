"""Each rule of docs/guest-identity.md, read from the documents as cloud-init reads them."""

import base64
import email
import shlex
from email.message import Message
from typing import Any

import pytest
import yaml
from passlib.hash import sha512_crypt

from app.domain.errors import InvalidArgument
from app.domain.guest import GuestIdentity
from app.domain.plan import NicPlan
from workers.guest.cloud_config import documents

HASH = sha512_crypt.using(rounds=1000, salt="saltsalt").hash("secret")


def identity(**changes: Any) -> GuestIdentity:
    return GuestIdentity(**{"instance_id": "1" * 32, "hostname": "web-1"} | changes)


def nic(device_id: int = 0, **changes: Any) -> NicPlan:
    values = {
        "uuid": f"{device_id:032x}",
        "device_id": device_id,
        "mac": f"fa:01:02:03:04:{device_id:02x}",
        "internal_name": f"vnic1.{device_id}",
        "l3_network_uuid": "3" * 32,
        "bridge": "br0",
        "driver_type": "virtio",
        "ip": f"10.0.{device_id}.5",
        "netmask": "255.255.255.0",
        "gateway": f"10.0.{device_id}.1",
        "dns": ("10.0.0.53", "10.0.0.54"),
    }
    return NicPlan(**values | changes)  # type: ignore[arg-type]


def user_data(content: bytes) -> str:
    return base64.b64encode(content).decode()


def parts(who: GuestIdentity) -> dict[str, str]:
    """Vendor data's, by content type, as cloud-init tells it."""
    content = documents(who, ())["vendor-data"]
    if content.startswith(b"#cloud-config\n"):
        return {"text/cloud-config": content.decode()}
    message: Message[str, str] = email.message_from_bytes(content)
    return {
        part.get_content_type(): part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        for part in message.walk()
        if not part.is_multipart()
    }


def config(who: GuestIdentity) -> dict[str, Any]:
    content = parts(who)["text/cloud-config"]
    assert content.startswith("#cloud-config\n")
    return yaml.safe_load(content)  # type: ignore[no-any-return]


def script(who: GuestIdentity) -> str:
    """What vendor data runs once per instance, wherever it stands."""
    commands = config(who).get("bootcmd", [])
    if boothook := parts(who).get("text/cloud-boothook"):
        start = "#cloud-boothook\n#!/bin/sh\n"
        assert boothook.startswith(start)
        commands = [*commands, shlex.split(boothook.removeprefix(start))]
    ((*once, found),) = commands
    assert once == ["cloud-init-per", "instance", "vmclone-identity", "sh", "-c"]
    return str(found)


def ethernets(*nics: NicPlan) -> dict[str, Any]:
    content = yaml.safe_load(documents(identity(), nics)["network-config"])
    assert content["version"] == 2
    return content["ethernets"]  # type: ignore[no-any-return]


def test_a_guest_is_told_its_instance_and_hostname() -> None:
    meta_data = yaml.safe_load(documents(identity(), ())["meta-data"])
    assert meta_data == {"instance-id": "1" * 32, "local-hostname": "web-1"}


@pytest.mark.parametrize("hostname", ["001", "1e3", "on", "null", "0x1f"])
def test_a_hostname_is_a_string_to_yaml(hostname: str) -> None:
    meta_data = yaml.safe_load(documents(identity(hostname=hostname), ())["meta-data"])
    assert meta_data["local-hostname"] == hostname


def test_ssh_keys_are_told_beside_those_of_user_data() -> None:
    keys = ("ssh-ed25519 AAAA bob: #1", "ssh-rsa BBBB ünd")
    who = identity(ssh_keys=keys, user_data=user_data(b"#cloud-config\nssh_authorized_keys: [c]\n"))
    assert yaml.safe_load(documents(who, ())["meta-data"])["public-keys"] == list(keys)


@pytest.mark.parametrize(
    "content",
    [
        b"#cloud-config\nbootcmd: [x]\nusers: [default]\n",
        b"#!/bin/sh\r\n\xff\0",
        b"Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x--\n",
        b"\x1f\x8b\x08\0",
    ],
)
def test_user_data_arrives_to_the_byte(content: bytes) -> None:
    assert documents(identity(user_data=user_data(content)), ())["user-data"] == content


def test_without_user_data_there_is_an_empty_file() -> None:
    """NoCloud takes no seed without it."""
    assert documents(identity(), ())["user-data"] == b""


NO_USER_CHANGES = {"users": [], "disable_root": False, "ssh_pwauth": None}


@pytest.mark.parametrize(
    ("who", "kept"),
    [
        (identity(), True),
        (identity(ssh_keys=("ssh-ed25519 AAAA",)), True),  # they go to root
        (identity(root_password_hash=HASH), True),
        (identity(user_data=user_data(b"#!/bin/sh\nusers: []\n")), True),
        (identity(user_data=user_data(b"#cloud-boothook\n#!/bin/sh\n")), True),
        (identity(user_data=user_data(b"#cloud-config\nruncmd: [users]\n")), True),
        (identity(user_data=user_data(b"\n#Cloud-Config\nruncmd: []\n")), True),
        (identity(user_data=user_data(b"#cloud-config\n")), True),
        (identity(user_data=user_data(b"#cloud-config\n? [users]\n: x\n")), True),  # no name
        (identity(user_data=user_data(b"#cloud-config\nusers: [default]\n")), False),
        (identity(user_data=user_data(b"#cloud-config\npassword: x\n")), False),
        (identity(user_data=user_data(b"#cloud-config\nssh_authorized_keys: [k]\n")), False),
        (identity(user_data=user_data(b"#cloud-config\nchpasswd: {list: 'a:b'}\n")), False),
        (identity(user_data=user_data(b"#cloud-config\na: &a {users: []}\n<<: *a\n")), False),
        # What cannot be looked into may mean the image's default user.
        (identity(user_data=user_data(b"## template: jinja\n#cloud-config\n")), False),
        (identity(user_data=user_data(b"#cloud-config-archive\n[]\n")), False),
        (identity(user_data=user_data(b"#include https://example.com/\n")), False),
        (identity(user_data=user_data(b"MIME-Version: 1.0\n")), False),
        (identity(user_data=user_data(b"\x1f\x8b\x08")), False),
        (identity(user_data=user_data(b"#cloud-config\n: : :\n\t")), False),
        (identity(user_data=user_data(b"#cloud-config\n\xff\xfe\n")), False),
        (identity(user_data=user_data(b"#cloud-config\na: " + b"[" * 60_000)), False),
    ],
)
def test_no_user_is_changed_unless_user_data_speaks_of_users(
    who: GuestIdentity, kept: bool
) -> None:
    found = {key: value for key, value in config(who).items() if key in NO_USER_CHANGES}
    assert found == (NO_USER_CHANGES if kept else {})


def test_user_data_that_would_grow_for_ever_is_not_expanded() -> None:
    merges = [
        b"a%d: &a%d {<<: [%s]}" % (n + 1, n + 1, b", ".join([b"*a%d" % n] * 20)) for n in range(30)
    ]
    content = b"\n".join([b"#cloud-config", b"a0: &a0 {k: v}", *merges])
    assert "users" in config(identity(user_data=user_data(content)))


def test_the_instance_gets_host_keys_and_a_hostname_of_its_own() -> None:
    """Whatever the image's configuration says of either."""
    assert config(identity())["ssh_deletekeys"] is True
    assert config(identity())["preserve_hostname"] is False


def test_the_root_password_is_told_as_a_hash() -> None:
    (line,) = (
        line
        for line in script(identity(root_password_hash=HASH)).splitlines()
        if "chpasswd" in line
    )
    assert line == f"printf '%s\\n' 'root:{HASH}' | chpasswd -e"
    assert sha512_crypt.verify("secret", line.split("root:")[1].split("'")[0])


def test_without_a_password_none_is_changed() -> None:
    assert "chpasswd" not in documents(identity(), ())["vendor-data"].decode()


@pytest.mark.parametrize(
    "password", ["secret", "$6$secret", f"{HASH}\nbob:x", "'; reboot; '", HASH + "x"]
)
def test_what_is_no_hash_never_reaches_a_guest(password: str) -> None:
    with pytest.raises(InvalidArgument, match="not hashed"):
        documents(identity(root_password_hash=password), ())


@pytest.mark.parametrize(
    ("content", "in_the_way"),
    [
        (None, False),
        (b"#!/bin/sh\nbootcmd\n", False),
        (b"#cloud-config\nruncmd: [bootcmd]\nusers: [default]\nchpasswd: {}\n", False),
        (b"#cloud-config\nbootcmd: [x]\n", True),
        (b"#cloud-config\na: &a {bootcmd: [x]}\n<<: *a\n", True),
        (b"#cloud-config\n{{ bootcmd\n", True),
        (b"## template: jinja\n#cloud-config\n", True),
        (b"MIME-Version: 1.0\n", True),
    ],
)
def test_user_data_cannot_push_our_script_out(content: bytes | None, in_the_way: bool) -> None:
    """A list of vendor data gives way to the caller's of the same key, a boothook to none."""
    who = identity(
        user_data=None if content is None else user_data(content), root_password_hash=HASH
    )
    assert script(who) == script(identity(root_password_hash=HASH))
    assert ("bootcmd" in config(who)) is not in_the_way
    assert not {"chpasswd", "runcmd"} & config(who).keys()


def test_an_address_is_static_with_gateway_and_dns() -> None:
    assert ethernets(nic()) == {
        "eth0": {
            "match": {"macaddress": "fa:01:02:03:04:00"},
            "addresses": ["10.0.0.5/24"],
            "gateway4": "10.0.0.1",
            "nameservers": {"addresses": ["10.0.0.53", "10.0.0.54"]},
        }
    }


@pytest.mark.parametrize(
    ("netmask", "address"),
    [
        ("255.255.0.0", "10.0.0.5/16"),
        ("255.255.255.252", "10.0.0.5/30"),
        ("255.255.255.255", "10.0.0.5/32"),
    ],
)
def test_the_netmask_is_a_prefix(netmask: str, address: str) -> None:
    assert ethernets(nic(netmask=netmask))["eth0"]["addresses"] == [address]


def test_a_nic_of_both_families_has_an_address_and_a_gateway_of_each() -> None:
    both = nic(ip6="fd00::5", prefix6=64, gateway6="fd00::1", dns=())
    assert ethernets(both)["eth0"] == {
        "match": {"macaddress": "fa:01:02:03:04:00"},
        "addresses": ["10.0.0.5/24", "fd00::5/64"],
        "gateway4": "10.0.0.1",
        "gateway6": "fd00::1",
    }
    only_six = nic(ip=None, netmask=None, gateway=None, ip6="fd00::5", prefix6=64, dns=())
    assert ethernets(only_six)["eth0"] == {
        "match": {"macaddress": "fa:01:02:03:04:00"},
        "addresses": ["fd00::5/64"],
    }


def test_the_default_gateways_of_two_families_may_be_on_two_nics() -> None:
    first = nic(ip6="fd00::5", prefix6=64)
    second = nic(1, ip6="fd01::5", prefix6=64, gateway6="fd01::1", is_default=True, gateway=None)
    found = ethernets(first, second)
    assert "gateway4" in found["eth0"]
    assert "gateway6" not in found["eth0"]
    assert found["eth1"]["gateway6"] == "fd01::1"
    assert "gateway4" not in found["eth1"]


def test_a_nic_of_ipv6_has_its_own_gateway() -> None:
    found = ethernets(nic(), nic(1, ip="fd00::5", netmask="64", gateway="fd00::1", dns=()))
    assert found["eth0"]["gateway4"] == "10.0.0.1"
    assert found["eth1"] == {
        "match": {"macaddress": "fa:01:02:03:04:01"},
        "addresses": ["fd00::5/64"],
        "gateway6": "fd00::1",
    }


@pytest.mark.parametrize(
    ("nics", "default"),
    [
        ((nic(0), nic(1), nic(2)), "eth0"),
        ((nic(2), nic(1), nic(0)), "eth0"),  # by device id, not by order
        ((nic(0, gateway=None), nic(1)), "eth1"),
        ((nic(0, ip=None), nic(1)), "eth1"),
        ((nic(0, gateway=None), nic(1, gateway=None)), None),
        ((nic(0), nic(1, is_default=True)), "eth1"),
        ((nic(0, link_up=False), nic(1)), "eth1"),
        ((nic(0, link_up=False, is_default=True), nic(1)), "eth0"),
    ],
)
def test_one_nic_has_the_default_gateway(nics: tuple[NicPlan, ...], default: str | None) -> None:
    found = [name for name, content in ethernets(*nics).items() if "gateway4" in content]
    assert found == ([default] if default else [])


def test_a_nic_without_an_address_asks_dhcp_by_its_mac() -> None:
    assert ethernets(nic(ip=None)) == {
        "eth0": {
            "match": {"macaddress": "fa:01:02:03:04:00"},
            "dhcp4": True,
            "dhcp-identifier": "mac",
        }
    }


def test_a_mac_is_a_lower_case_string_to_yaml() -> None:
    """As numbers of base 60, YAML 1.1 would read digits with colons."""
    found = ethernets(nic(mac="52:54:00:12:34:56"), nic(1, mac="FA:BB:00:00:00:01"))
    assert found["eth0"]["match"]["macaddress"] == "52:54:00:12:34:56"
    assert found["eth1"]["match"]["macaddress"] == "fa:bb:00:00:00:01"


def test_interfaces_are_not_renamed() -> None:
    assert "set-name" not in documents(identity(), (nic(), nic(1)))["network-config"].decode()


@pytest.mark.parametrize("content", [b"#!x", b"#cloud-config\nbootcmd: [x]\n"])
def test_the_same_identity_has_the_same_documents(content: bytes) -> None:
    who = identity(ssh_keys=("k",), root_password_hash=HASH, user_data=user_data(content))
    assert documents(who, (nic(), nic(1))) == documents(who, (nic(), nic(1)))
