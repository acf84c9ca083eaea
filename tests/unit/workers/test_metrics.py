"""A worker's own page."""

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr

from app.endpoints import ConfigurationError
from app.settings import Settings
from app.supervisor import Child, Supervisor
from workers.metrics import registry_of, serve


class Agent:
    def __init__(self, *children: Child) -> None:
        self.children = children
        self.served = frozenset({"1", "2"})
        self.away = frozenset({"2"})
        self.processes = 4


def test_it_tells_its_children_and_its_hosts(tmp_path: Path) -> None:
    dead = Child("hosts-abc@machine", ["true"], log_file=tmp_path / "log")
    supervisor = Supervisor([dead], grace_s=1)
    supervisor.revive()
    page = generate_latest(registry_of(Agent(dead))).decode()
    supervisor.stop()
    assert 'vmclone_worker_child_restarts_total{child="hosts"} 1.0' in page
    assert "vmclone_worker_hosts_served 2.0" in page
    assert "vmclone_worker_hypervisors_away 1.0" in page


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_is_served_to_who_has_the_token() -> None:
    settings = Settings(worker_metrics_port=free_port(), metrics_token=SecretStr("sesame"))
    server = serve(settings, Agent())
    assert server is not None
    url = f"http://127.0.0.1:{settings.worker_metrics_port}/metrics"
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url)
        asked = urllib.request.Request(url, headers={"Authorization": "Bearer sesame"})
        with urllib.request.urlopen(asked) as answer:
            assert b"vmclone_worker_processes 4.0" in answer.read()
    finally:
        server.shutdown()
        server.server_close()


def test_a_port_that_is_taken_is_told_by_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(worker_metrics_port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="VMCLONE_WORKER_METRICS_PORT"):
            serve(settings, Agent())


def test_it_is_not_served_unless_asked_for() -> None:
    assert serve(Settings(), Agent()) is None
    assert serve(Settings(worker_metrics_port=1, metrics="off"), Agent()) is None
