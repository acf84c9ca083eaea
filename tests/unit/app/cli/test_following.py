"""A followed job is seen to its end, by events or by asking, whatever the connection does."""

from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from app.cli import following
from app.cli.client import Client, Json, Server
from app.cli.failures import ApiError, NoAnswer
from app.cli.following import Look, follow

JOB = "1" * 32
Event = tuple[str, Json]


def a_job(state: str, **more: Any) -> Json:
    return {"uuid": JOB, "state": state, "total": 2, "failed": 0, **more}


def an_item(ordinal: int, state: str) -> Json:
    return {"uuid": f"i{ordinal}", "ordinal": ordinal, "name": f"n{ordinal}", "state": state}


class Polled:
    """A server without events; a look at it is a job with its items, or a failure."""

    def __init__(self, *looks: tuple[Json, list[Json]] | Exception) -> None:
        self.server = Server("http://s", "admin")
        self._looks = list(looks)
        self._items: list[Json] = []
        self.asked_for: list[str | None] = []

    async def events(self, uuid: str, last_id: str | None) -> AsyncGenerator[Event]:
        for event in list[Event]():
            yield event
        raise ApiError("no api mapping", status=404)

    async def job_unless(self, uuid: str, tag: str | None) -> tuple[Json | None, str | None]:
        look = self._looks.pop(0)
        if isinstance(look, Exception):
            raise look
        job, self._items = look
        return job, "tag"

    async def items(self, uuid: str, *, state: str | None = None) -> list[Json]:
        self.asked_for.append(state)
        return [item for item in self._items if state in {None, item["state"]}]


class Streamed(Polled):
    """Each connection is some events, then its end."""

    def __init__(self, *connections: list[Event] | Exception) -> None:
        super().__init__()
        self._connections = list(connections)
        self.last_ids: list[str | None] = []

    async def events(self, uuid: str, last_id: str | None) -> AsyncGenerator[Event]:
        self.last_ids.append(last_id)
        connection = self._connections.pop(0)
        if isinstance(connection, Exception):
            raise connection
        for event in connection:
            yield event


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LOOK_EVERY_S", 0)
    monkeypatch.setattr(following, "_LOOK_EVERY_AT_LARGE_S", 0)
    monkeypatch.setattr(following, "_AGAIN_AFTER_S", (0,))


async def followed(server: Polled, said: list[str] | None = None) -> list[Look]:
    said = [] if said is None else said
    return [look async for look in follow(cast(Client, server), JOB, said.append)]


def ended(looks: list[Look]) -> list[str]:
    return [f"{item['name']} {item['state']}" for look in looks for item in look.ended]


async def test_without_events_it_is_asked_until_the_end() -> None:
    looks = await followed(
        Polled(
            (a_job("Running"), [an_item(0, "Running"), an_item(1, "Waiting")]),
            (a_job("Running"), [an_item(0, "Failed"), an_item(1, "Granted")]),
            (a_job("Finished"), [an_item(0, "Failed"), an_item(1, "Succeeded")]),
        )
    )
    assert [[item["name"] for item in look.open] for look in looks] == [["n0"], ["n1"], []]
    assert ended(looks) == ["n0 Failed", "n1 Succeeded"]


async def test_of_a_large_job_only_what_runs_and_what_failed_is_asked_for() -> None:
    items = [an_item(0, "Running"), an_item(1, "Failed"), an_item(2, "Succeeded")]
    server = Polled(
        (a_job("Running", total=5000), items[:1]),
        (a_job("Running", total=5000, failed=1), items),
        (a_job("Finished", total=5000, failed=1), items[1:]),
    )
    assert ended(await followed(server)) == ["n1 Failed"]
    assert server.asked_for == ["Running", "Running", "Failed", "Running"]


async def test_a_server_that_is_away_is_told_of_once_each_time() -> None:
    away = NoAnswer("http://s does not answer")
    running = (a_job("Running"), [an_item(0, "Running")])
    said: list[str] = []
    looks = await followed(
        Polled(running, away, away, away, running, away, away, (a_job("Finished"), [])), said
    )
    assert looks[-1].job["state"] == "Finished"
    assert said == ["http://s does not answer; the job goes on, and it is asked again"] * 2


async def test_a_server_without_its_database_is_asked_for_its_events_again() -> None:
    away = NoAnswer("the database does not answer", status=503, code="SYS.1010")
    finished = [("3", {"job": a_job("Finished")}), ("4", {"end": {"uuid": JOB}})]
    server = Streamed([("2", {"job": a_job("Running")})], away, finished)
    assert (await followed(server))[-1].job["state"] == "Finished"
    assert server.last_ids == [None, "2", "2"]


async def test_one_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PATIENCE_S", -1)
    with pytest.raises(NoAnswer, match="the job goes on without being watched"):
        await followed(Polled(NoAnswer("away")))


async def test_a_refusal_ends_it() -> None:
    with pytest.raises(ApiError, match="there is no clone job"):
        await followed(Polled(ApiError("there is no clone job", status=404)))


async def test_events_go_on_after_the_last_one_that_came() -> None:
    first: list[Event] = [
        ("1", {"job": a_job("Running")}),
        ("2", {"items": {"items": [an_item(0, "Running"), an_item(1, "Running")]}}),
    ]
    second: list[Event] = [
        ("3", {"items": {"items": [an_item(0, "Succeeded")]}}),
        ("4", {"job": a_job("Finished")}),
        ("5", {"items": {"items": [an_item(0, "Succeeded"), an_item(1, "Failed")]}}),
        ("6", {"end": {"uuid": JOB}}),
    ]
    said: list[str] = []
    server = Streamed(first, NoAnswer("away"), second)
    looks = await followed(server, said)
    assert server.last_ids == [None, "2", "2"]
    assert ended(looks) == ["n0 Succeeded", "n1 Failed"], "also what came after the job's end"
    assert [look.job["state"] for look in looks].count("Finished") == 1
    assert said == ["away; the job goes on, and it is asked again"]
