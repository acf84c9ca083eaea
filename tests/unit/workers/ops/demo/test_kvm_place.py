"""The demo's place on a host: what is there before, and what is said where it cannot be left."""

import sys
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.domain.errors import HostDisconnected, OperationFailed
from workers.hypervisors.kvm import own_bridge
from workers.ops.demo.kvm import place

DEMO_HOST = "workers.hypervisors.kvm.demo_host"


class Host:
    """In the place of a libvirt host, with one network of libvirt's."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.away = False

    def look(self, uri: str) -> SimpleNamespace:
        return SimpleNamespace(
            cpu_num=2, memory_bytes=1 << 30, subnets=(IPv4Network("192.168.200.0/24"),)
        )

    def remove_clones(self, uri: str, folder: str, home: Path) -> None:
        if self.away:
            raise HostDisconnected("libvirt does not answer")
        self.done.append("clones")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    monkeypatch.setitem(sys.modules, DEMO_HOST, host)
    monkeypatch.setattr("workers.hypervisors.kvm.demo_host", host, raising=False)
    monkeypatch.setattr(place, "FOLDER", tmp_path / "images" / "demo")
    monkeypatch.setattr(own_bridge, "make", lambda name, subnet: host.done.append(str(subnet)))
    monkeypatch.setattr(own_bridge, "remove", lambda name: host.done.append("bridge"))
    monkeypatch.setattr(
        own_bridge, "routed_subnets", lambda: iter([IPv4Network("192.168.201.0/24")])
    )
    return host


def test_all_goes_first_and_last_domains_before_the_rest(host: Host, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with place.demo_place("uri", home) as made:
        assert not home.exists()
        home.mkdir()
        made.storage.mkdir(parents=True)
        (made.storage.parent / "a link").symlink_to(tmp_path)
        assert host.done == ["clones", "bridge", "192.168.202.0/24"]
    assert host.done[3:] == ["clones", "bridge"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["images"]
    assert not list((tmp_path / "images").iterdir())


def test_what_could_not_be_taken_away_is_said_and_kept(host: Host, tmp_path: Path) -> None:
    disk = place.FOLDER / "ps" / "disk"

    def demo() -> None:
        with place.demo_place("uri", tmp_path / "h"):
            disk.parent.mkdir()
            disk.touch()
            host.away = True

    with pytest.raises(OperationFailed) as caught:
        demo()
    assert "libvirt does not answer" in caught.value.details
    assert "run it again" in caught.value.details
    assert disk.exists(), "its guests may run on"
    host.away = False
    with place.demo_place("uri", tmp_path / "h"):
        assert not disk.exists()
    assert not place.FOLDER.exists()
