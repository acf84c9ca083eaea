"""Vendor data's script, run as cloud-init runs it, with its own programs on PATH."""

import base64
import email
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from passlib.hash import sha512_crypt

from app.domain.guest import GuestIdentity
from workers.guest.cloud_config import documents

OLD_ID = "0123456789abcdef0123456789abcdef"
FROM_SYSTEMD = "f" * 32
HASH = sha512_crypt.using(rounds=1000).hash("it's secret")

# What the script needs of a guest. cloud-init-per does as cloud-init's manual says; systemd's
# program takes a valid D-Bus id where there is one, and does nothing to a file that holds an id.
PROGRAMS = {
    "cloud-init-per": """
        [ "$1" = instance ] || exit 1
        done="{root}/instance/$2"; shift 2
        [ -e "$done" ] && exit 0
        "$@"; result=$?
        echo "$result" > "$done"
        exit "$result"
    """,
    "systemd-machine-id-setup": """
        [ -s {root}/etc/machine-id ] && exit 0
        if [ ! -L {root}/var/lib/dbus/machine-id ] && [ -s {root}/var/lib/dbus/machine-id ]; then
            cat {root}/var/lib/dbus/machine-id > {root}/etc/machine-id
        else
            echo {fresh} > {root}/etc/machine-id
        fi
    """,
    "chpasswd": 'echo "$@" > {root}/chpasswd.arguments; cat >> {root}/chpasswd.input',
}


class Guest:
    """A folder for its root; absolute paths of the script are moved below it."""

    def __init__(self, root: Path, *missing: str) -> None:
        self.root = root
        self.machine_id = root / "etc/machine-id"
        self.dbus_id = root / "var/lib/dbus/machine-id"
        for folder in ("etc", "var/lib/dbus", "instance", "bin"):
            (root / folder).mkdir(parents=True)
        for name in PROGRAMS.keys() - set(missing):
            program = root / "bin" / name
            script = PROGRAMS[name].format(root=root, fresh=FROM_SYSTEMD)
            program.write_text(f"#!/bin/sh\n{script}")
            program.chmod(0o755)
        # And nothing else: this machine's own must not be found in place of a missing one.
        for name in ("cat", "ln", "rm", "sh", "tr"):
            (root / "bin" / name).symlink_to(shutil.which(name) or name)

    def boot(self, user_data: bytes | None = None, **changes: str) -> None:
        encoded = None if user_data is None else base64.b64encode(user_data).decode()
        identity = GuestIdentity("1" * 32, "web-1", user_data=encoded, **changes)  # type: ignore[arg-type]
        script = self.root / "part-001"
        script.write_text(
            as_file(documents(identity, ())["vendor-data"])
            .replace(" /etc/", f" {self.root}/etc/")
            .replace(" /var/", f" {self.root}/var/")
        )
        script.chmod(0o700)
        environment = {"PATH": str(self.root / "bin")}
        subprocess.run([script], check=True, env=environment, stderr=subprocess.DEVNULL)


def as_file(vendor_data: bytes) -> str:
    """A bootcmd or a boothook as the script that cloud-init makes of it."""
    if vendor_data.startswith(b"#cloud-config\n"):
        commands = yaml.safe_load(vendor_data)["bootcmd"]
        return "#!/bin/sh\n" + "\n".join(shlex.join(command) for command in commands)
    (part,) = (
        part
        for part in email.message_from_bytes(vendor_data).walk()
        if part.get_content_type() == "text/cloud-boothook"
    )
    content = part.get_payload(decode=True).decode()  # type: ignore[union-attr]
    return str(content).removeprefix("#cloud-boothook\n")


def is_fresh(path: Path) -> bool:
    content = path.read_text()
    return re.fullmatch("[0-9a-f]{32}\n", content) is not None and content.strip() != OLD_ID


@pytest.mark.parametrize("user_data", [None, b"#!/bin/sh\n", b"#cloud-config\nbootcmd: [x]\n"])
def test_the_machine_id_is_renewed(tmp_path: Path, user_data: bytes | None) -> None:
    guest = Guest(tmp_path)
    guest.machine_id.write_text(OLD_ID + "\n")
    guest.boot(user_data)
    assert guest.machine_id.read_text().strip() == FROM_SYSTEMD


def test_dbus_follows(tmp_path: Path) -> None:
    """A valid file of its own would bring the old id back."""
    guest = Guest(tmp_path)
    guest.machine_id.write_text(OLD_ID + "\n")
    guest.dbus_id.write_text(OLD_ID + "\n")
    guest.boot()
    assert guest.machine_id.read_text().strip() == FROM_SYSTEMD
    assert guest.dbus_id.read_text() == guest.machine_id.read_text()


def test_a_link_of_dbus_stays_one(tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    guest.machine_id.write_text(OLD_ID + "\n")
    guest.dbus_id.symlink_to(guest.machine_id)
    guest.boot()
    assert guest.dbus_id.is_symlink()
    assert guest.dbus_id.read_text().strip() == FROM_SYSTEMD


def test_without_systemd_it_is_renewed_too(tmp_path: Path) -> None:
    guest = Guest(tmp_path, "systemd-machine-id-setup")
    guest.machine_id.write_text(OLD_ID + "\n")
    guest.boot()
    assert is_fresh(guest.machine_id)


def test_where_dbus_alone_has_one_it_is_renewed(tmp_path: Path) -> None:
    guest = Guest(tmp_path, "systemd-machine-id-setup")
    guest.dbus_id.write_text(OLD_ID + "\n")
    guest.boot()
    assert is_fresh(guest.dbus_id)
    assert not guest.machine_id.exists()


def test_a_guest_without_a_machine_id_gets_none(tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    guest.boot()
    assert not guest.machine_id.exists()
    assert not guest.dbus_id.exists()


def test_it_happens_once_per_instance(tmp_path: Path) -> None:
    guest = Guest(tmp_path, "systemd-machine-id-setup")
    guest.machine_id.write_text(OLD_ID + "\n")
    guest.boot(root_password_hash=HASH)
    first = guest.machine_id.read_text()
    guest.boot(root_password_hash=HASH)
    assert guest.machine_id.read_text() == first
    assert len((tmp_path / "chpasswd.input").read_text().splitlines()) == 1


@pytest.mark.parametrize("user_data", [None, b"#cloud-config\nbootcmd: [x]\n"])
def test_the_password_is_set_as_it_was_hashed(tmp_path: Path, user_data: bytes | None) -> None:
    guest = Guest(tmp_path)
    guest.boot(user_data, root_password_hash=HASH)
    assert (tmp_path / "chpasswd.arguments").read_text() == "-e\n"  # hashed already
    user, _, password = (tmp_path / "chpasswd.input").read_text().strip().partition(":")
    assert user == "root"
    assert sha512_crypt.verify("it's secret", password)


def test_no_password_is_touched_otherwise(tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    guest.boot()
    assert not (tmp_path / "chpasswd.input").exists()
