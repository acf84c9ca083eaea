"""One verb for many jobs, against a small server that knows some of them."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.client import Client
from app.cli.failures import ApiError, NoAnswer
from app.cli.main import app

GOOD, ENDED, OTHER = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was asked of it."""
    asked: list[tuple[str, str]] = []

    async def control(client: Client, uuid: str, verb: str) -> dict[str, Any]:
        asked.append((uuid, verb))
        if uuid == ENDED:
            raise ApiError(f"clone job {uuid} is Finished", status=409)
        if uuid == "e" * 32:
            raise NoAnswer("http://x does not answer")
        counts = {"succeeded": 0, "failed": 0, "canceled": 0, "running": 0, "waiting": 3}
        return {"uuid": uuid, "kind": "clone"} | counts

    async def nothing(client: Client) -> str:
        return ""

    monkeypatch.setattr(Client, "control", control)
    monkeypatch.setattr(Client, "log_in", nothing)
    monkeypatch.setenv("VMCLONE_URL", "http://x")
    monkeypatch.setenv("VMCLONE_PASSWORD", "secret")
    return asked


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume"])
def test_each_is_tried_and_a_refusal_is_a_line(server: list[tuple[str, str]], verb: str) -> None:
    done = CliRunner().invoke(app, [verb, GOOD, ENDED, "zz", OTHER])
    assert done.exit_code == 1
    assert server == [(GOOD, verb), (ENDED, verb), (OTHER, verb)]
    told = [line.split()[1] for line in done.stdout.splitlines()]
    assert told == [GOOD, OTHER]
    refused, unknown = done.stderr.splitlines()
    assert refused == f"vmclone: clone job {ENDED} is Finished"
    assert unknown.startswith("vmclone: 'zz' is no job")


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume"])
def test_json_holds_those_that_were_done(verb: str) -> None:
    done = CliRunner().invoke(app, [verb, GOOD, OTHER, "--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert [job["uuid"] for job in json.loads(done.stdout)] == [GOOD, OTHER]


def test_a_server_that_is_away_is_not_asked_for_each(server: list[tuple[str, str]]) -> None:
    done = CliRunner().invoke(app, ["cancel", "e" * 32, GOOD])
    assert isinstance(done.exception, NoAnswer)
    assert len(server) == 1
