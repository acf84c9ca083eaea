"""Requests have an id that their answers and their log lines carry, and lines keep secrets."""

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from app.api import sessions
from app.cli.logs import make_handler
from app.settings import Settings
from app.store.session import Database
from tests.factories import Inventory
from tests.integration.api.conftest import Api, submit


@pytest.fixture
def lines() -> Iterator[Any]:
    """What was logged so far, each line as its object."""
    stream = StringIO()
    handler = make_handler(Settings(log_format="json"), stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # as programs have it
    root.setLevel(logging.INFO)
    yield lambda: [orjson.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


async def test_a_well_formed_request_id_comes_back(api: Api) -> None:
    answer = await api.get("/healthz", headers={"X-Request-Id": "nightly-2026.11_28"})
    assert answer.headers["X-Request-Id"] == "nightly-2026.11_28"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "a/b", "é"])
async def test_any_other_is_replaced(api: Api, given: str) -> None:
    answer = await api.get("/healthz", headers={"X-Request-Id": given})
    assert len(answer.headers["X-Request-Id"]) == 32
    again = await api.get("/no/such/path", headers={"X-Request-Id": given})
    assert again.status == 404
    assert again.headers["X-Request-Id"] != answer.headers["X-Request-Id"]


async def test_an_accepted_job_is_logged_with_its_request(
    api: Api, inventory: Inventory, as_admin: dict[str, str], lines: Any
) -> None:
    job = await submit(api, inventory.source, as_admin | {"X-Request-Id": "mine"}, names=["a"])
    (line,) = [line for line in lines() if line["event"] == "job accepted"]
    assert (line["job_uuid"], line["request_id"]) == (job, "mine")


async def test_a_failing_request_is_logged_without_its_path(
    api: Api, as_admin: dict[str, str], lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is a session's."""

    def fails(_: object) -> None:
        raise RuntimeError("broken")

    session = as_admin["Authorization"].removeprefix("OAuth ")
    monkeypatch.setattr(sessions, "state_of", fails)
    answer = await api.delete(f"/zstack/v1/accounts/sessions/{session}", headers=as_admin)
    assert answer.status == 503
    (line,) = [line for line in lines() if line["event"] == "request failed"]
    assert line["route"] == "/zstack/v1/accounts/sessions/{uuid}"
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert session not in str(lines())


def test_an_error_of_the_database_does_not_show_what_was_sent(database: Database) -> None:
    with pytest.raises(Exception, match="division by zero") as raised, database.single() as c:
        c.execute(text("SELECT 1 / 0, CAST(:secret AS text)"), {"secret": "swordfish"})
    assert "swordfish" not in str(raised.value)
