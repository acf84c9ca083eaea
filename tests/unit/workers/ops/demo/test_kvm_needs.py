"""What the demo on real guests lacks is said before anything is made, with the way out."""

import os
import platform
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.domain.errors import CloneError
from app.endpoints import ConfigurationError
from app.settings import Settings
from tests.requirements import require
from workers.ops.demo.guest import tools

require(find_spec("libvirt"), "libvirt-python (requirements-kvm.lock)")

from workers.hypervisors.kvm.connection import SYSTEM_URI  # noqa: E402
from workers.ops.demo.kvm import needs  # noqa: E402

OWN_SERVERS = {"database_url": "postgresql://x", "broker_url": "redis://x"}


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def said(settings: Settings) -> str:
    with pytest.raises((CloneError, ConfigurationError)) as caught:
        needs.check(settings, SYSTEM_URI, None)
    return str(caught.value)


def test_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "run it as root" in said(Settings(home=tmp_path))


def test_no_servers_of_others(tmp_path: Path) -> None:
    settings = Settings.model_validate({"home": tmp_path, **OWN_SERVERS})
    assert "unset VMCLONE_DATABASE_URL" in said(settings)


def test_a_machine_that_the_guest_can_be_built_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "--image FILE" in said(Settings(home=tmp_path))


def test_the_programs_that_it_is_built_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(needs, "find_emulator", lambda: "/usr/bin/qemu")
    for name in ("apt-get", "ip", "busybox"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr(tools, "PATH", str(tmp_path))
    text = said(Settings(home=tmp_path))
    assert "apt-get install cpio dpkg mtools" in text
    assert "busybox" not in text
    assert "--image FILE" in text
