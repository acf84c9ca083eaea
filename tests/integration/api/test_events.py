"""Server-sent events: what readers see, what they share, and what they do not get."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse
from sqlalchemy import text

from app.api.main import create_app
from app.api.streams import events, feed
from app.api.streams.messages import Message
from app.api.streams.sources import JobSource
from app.queue import TaskName
from app.settings import Settings
from app.store import control, item_views
from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory, make_account
from tests.integration.api.conftest import Api, open_session

OWN = "/api/v1/clone-jobs"


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LOOK_EVERY_S", 0.05)


@dataclass(frozen=True)
class Event:
    kind: str
    place: str
    data: Any


class Stream:
    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self.seen: list[Event] = []

    async def next(self) -> Event:
        """The next message; comments are passed over. Raises StopAsyncIteration at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := await self._response.content.readline():
                name, colon, value = line.decode().rstrip("\n").partition(": ")
                if colon and name:
                    fields[name] = value
                elif "data" in fields:
                    event = Event(fields["event"], fields["id"], orjson.loads(fields["data"]))
                    self.seen.append(event)
                    return event
                else:
                    fields.clear()
        raise StopAsyncIteration

    async def until(self, is_it: Callable[[Event], bool]) -> Event:
        while True:
            event = await self.next()
            if is_it(event):
                return event

    async def rest(self) -> list[Event]:
        events = []
        try:
            while True:
                events.append(await self.next())
        except StopAsyncIteration:
            return events

    @property
    def items(self) -> dict[str, dict[str, Any]]:
        """As last sent, by name."""
        return {
            item["name"]: item
            for event in self.seen
            if event.kind == "items"
            for item in event.data["items"]
        }


@asynccontextmanager
async def stream(
    api: Api, path: str, headers: dict[str, str], **more: str
) -> AsyncIterator[Stream]:
    async with api.get(path, headers=headers | more) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Stream(response)


def feeds_of(api: Api) -> feed.Feeds:
    assert api.app is not None
    feeds: feed.Feeds = api.app[events.FEEDS]
    return feeds


async def made(api: Api, headers: dict[str, str], vm: str, *names: str) -> str:
    answer = await api.post(OWN, json={"vmInstanceUuid": vm, "names": names}, headers=headers)
    return str((await answer.json())["uuid"])


async def got(api: Api, headers: dict[str, str], path: str) -> Any:
    return await (await api.get(path, headers=headers)).json()


async def test_a_job_is_told_from_its_acceptance_to_its_end_as_it_is_shown(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, "a", "b", "c")
    async with stream(api, f"{OWN}/{job}/events", as_admin) as seen:
        first = await seen.next()
        assert (first.kind, first.data["state"]) == ("job", "Accepted")
        await asyncio.to_thread(engine.start, job)
        await seen.rest()
    *_, last, end = seen.seen
    assert (end.kind, end.data) == ("end", {"uuid": job})
    assert last.data == await got(api, as_admin, f"{OWN}/{job}")
    shown = (await got(api, as_admin, f"{OWN}/{job}/items"))["items"]
    assert sorted(seen.items.values(), key=lambda item: item["ordinal"]) == shown


async def test_steps_of_a_running_name_are_told_without_events(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, "a")
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(job)
    async with stream(api, f"{OWN}/{job}/events", as_admin) as seen:
        await seen.until(lambda event: "a" in seen.items)
        assert seen.items["a"]["state"] == "Granted"
        with engine.database.engine.begin() as connection:
            connection.execute(text("UPDATE items SET bytes_done = 4096, bytes_total = 8192"))
        await seen.until(lambda event: seen.items["a"]["bytesDone"] == 4096)
        assert seen.items["a"] == (await got(api, as_admin, f"{OWN}/{job}/items"))["items"][0]


async def test_a_reader_that_comes_back_gets_what_it_missed_and_no_more(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, "a", "b", "c")
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(job)
    cancel = f"{OWN}/{job}/items/{{}}/cancel"
    uuids = [item["uuid"] for item in (await got(api, as_admin, f"{OWN}/{job}/items"))["items"]]
    async with stream(api, f"{OWN}/{job}/events", as_admin) as first:
        await first.until(lambda event: len(first.items) == 3)
        await api.post(cancel.format(uuids[0]), headers=as_admin)
        await first.until(lambda event: first.items["a"]["state"] == "Canceled")
        # The look that saw it may have begun before it was done; one that sees this began after.
        with engine.database.engine.begin() as connection:
            connection.execute(text("UPDATE items SET bytes_done = 4096 WHERE name = 'c'"))
        moved = await first.until(lambda e: e.kind == "job" and e.data["bytesDone"] == 4096)
        place = moved.place
    await api.post(cancel.format(uuids[1]), headers=as_admin)
    for more in ({"Last-Event-ID": place}, {}):
        path = f"{OWN}/{job}/events" + ("" if more else f"?lastEventId={place}")
        async with stream(api, path, as_admin, **more) as again:
            await again.until(lambda event: event.kind == "items" and "c" in again.items)
            assert again.items["b"]["state"] == "Canceled"
            assert again.items.keys() == {"b", "c"}


@pytest.mark.parametrize("why", ["the job was paused", "its host fell silent"])
async def test_a_name_that_waits_again_is_told_to_a_reader_that_was_away(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, why: str
) -> None:
    job = await made(api, as_admin, inventory.source, "a")
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(job)
    async with stream(api, f"{OWN}/{job}/events", as_admin) as first:
        await first.until(lambda event: "a" in first.items)
        assert first.items["a"]["state"] == "Granted"
        place = first.seen[-1].place
    with engine.database.engine.begin() as connection:
        if "paused" in why:
            control.pause_job(connection, job)
        else:
            connection.execute(text("UPDATE hosts SET seen_at = now() - interval '1 hour'"))
    engine.sweep()
    assert engine.item_states(job) == ["Waiting"]
    async with stream(api, f"{OWN}/{job}/events", as_admin, **{"Last-Event-ID": place}) as again:
        await again.until(lambda event: "a" in again.items)
        assert again.items["a"]["state"] == "Waiting"


async def test_a_slow_transaction_s_event_is_not_passed_over(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine
) -> None:
    job = await made(api, as_admin, inventory.source, "a", "b")
    engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    engine.start(job)
    uuids = [item["uuid"] for item in (await got(api, as_admin, f"{OWN}/{job}/items"))["items"]]
    cancel = f"{OWN}/{job}/items/{{}}/cancel"
    await api.post(cancel.format(uuids[0]), headers=as_admin)
    async with stream(api, f"{OWN}/{job}/events", as_admin) as first:
        await first.until(lambda event: "b" in first.items)
        with engine.database.engine.begin() as slow:  # has its number, and is not done
            slow.execute(
                text("INSERT INTO events (job_uuid, item_uuid, kind) VALUES (:j, :i, 'item.x')"),
                {"j": job, "i": uuids[0]},
            )
            await api.post(cancel.format(uuids[1]), headers=as_admin)
            await first.until(lambda event: first.items["b"]["state"] == "Canceled")
            place = (await first.until(lambda event: event.kind == "job")).place
    async with stream(api, f"{OWN}/{job}/events", as_admin, **{"Last-Event-ID": place}) as again:
        missed = (await again.next()).data["items"]
        assert ("a", "Canceled") in {(item["name"], item["state"]) for item in missed}


async def test_all_readers_of_a_job_share_one_look(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = await made(api, as_admin, inventory.source, *(f"n-{n}" for n in range(20)))
    looks: list[str] = []
    look = JobSource.look

    def counted(source: JobSource, connection: Any) -> Any:
        looks.append(source._uuid)
        return look(source, connection)

    monkeypatch.setattr(JobSource, "look", counted)
    feeds = feeds_of(api)
    opened = [stream(api, f"{OWN}/{job}/events", as_admin) for _ in range(50)]
    readers = [await one.__aenter__() for one in opened]
    for reader in readers:
        await reader.next()
    assert len(feeds._feeds) == 1
    before = len(looks)
    await asyncio.to_thread(engine.start, job)
    await asyncio.gather(*(reader.rest() for reader in readers))
    assert {len(reader.items) for reader in readers} == {20}
    # Each look gave its news to all: no reader has more messages than two a look and the end.
    assert max(len(reader.seen) for reader in readers) <= 2 * (len(looks) - before + 1) + 2
    for one in opened:
        await one.__aexit__(None, None, None)
    assert not feeds._feeds


async def test_nobody_reads_another_account_s_jobs(
    api: Api, inventory: Inventory, as_admin: dict[str, str], engine: Engine, database: Database
) -> None:
    with database.engine.begin() as connection:
        account = make_account(connection)
    tenant = open_session(database, account)
    mine = await made(api, tenant, inventory.source, "mine")
    theirs = await made(api, as_admin, inventory.source, "theirs")
    refused = await api.get(f"{OWN}/{theirs}/events", headers=tenant)
    assert refused.status == 404
    async with (
        stream(api, "/api/v1/events", tenant) as seen,
        stream(api, "/api/v1/events", as_admin) as all_of_them,
    ):
        await asyncio.to_thread(engine.start, theirs)
        await asyncio.to_thread(engine.start, mine)
        finished = {"state": "Finished"}
        await seen.until(lambda event: event.data | finished == event.data)
        ended: set[str] = set()
        while ended != {mine, theirs}:
            event = await all_of_them.until(lambda event: event.data | finished == event.data)
            ended.add(event.data["uuid"])
    assert {event.data["uuid"] for event in seen.seen} == {mine}
    place = seen.seen[0].place
    async with stream(api, f"/api/v1/events?lastEventId={place}", tenant) as again:
        assert (await again.next()).data == await got(api, tenant, f"{OWN}/{mine}")


async def test_without_a_session_there_is_no_stream(api: Api) -> None:
    headers = {"Authorization": "OAuth " + "0" * 32}
    for path in ("/api/v1/events", f"{OWN}/{'0' * 32}/events"):
        assert (await api.get(path, headers=headers)).status == 401


async def test_a_place_is_a_number(api: Api, as_admin: dict[str, str]) -> None:
    answer = await api.get("/api/v1/events?lastEventId=x", headers=as_admin)
    assert answer.status == 400
    assert "[lastEventId] must be an integer" in (await answer.json())["detail"]


async def test_a_stream_ends_with_its_session(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    async with stream(api, "/api/v1/events", as_admin) as seen:
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM sessions")
        assert await seen.rest() == []


async def test_a_reader_that_does_not_read_is_let_go(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = await made(api, as_admin, inventory.source, "a")
    monkeypatch.setattr(feed, "MOST_BEHIND_BYTES", 1 << 20)
    feeds = feeds_of(api)
    async with stream(api, f"{OWN}/{job}/events", as_admin) as seen:
        await seen.next()
        (reader,) = feeds._feeds[job].readers
        for _ in range(200):  # more than the socket's buffers and the reader's queue hold
            reader.put(Message(b": " + b"x" * (1 << 17) + b"\n\n"))
        async with asyncio.timeout(10):
            while feeds._feeds:
                await asyncio.sleep(0)
    assert reader._behind_bytes <= (1 << 20) + (1 << 18)


async def test_readers_outlive_a_look_that_fails(
    api: Api,
    inventory: Inventory,
    as_admin: dict[str, str],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = await made(api, as_admin, inventory.source, "a")
    async with stream(api, f"{OWN}/{job}/events", as_admin) as seen:
        await seen.next()
        load, failed = item_views.load_these, asyncio.Event()

        def away(*arguments: Any) -> Any:
            monkeypatch.setattr(item_views, "load_these", load)
            failed.set()
            raise ConnectionError("the database is away")

        monkeypatch.setattr(item_views, "load_these", away)
        await asyncio.to_thread(engine.start, job)
        await seen.rest()
    assert failed.is_set()
    assert seen.items["a"]["state"] == "Succeeded"
    assert seen.seen[-1].kind == "end"


async def test_streams_end_when_the_server_goes(
    settings: Settings,
    inventory: Inventory,
    as_admin: dict[str, str],
    aiohttp_client: Callable[..., Awaitable[Api]],
) -> None:
    api = await aiohttp_client(create_app(settings))
    async with stream(api, "/api/v1/events", as_admin) as seen:
        async with asyncio.timeout(10):
            await asyncio.gather(api.server.close(), seen.rest())
