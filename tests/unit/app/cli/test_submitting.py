"""A submission whose answer is lost: sent once more, and what became of it can be found out."""

import asyncio
from collections.abc import Mapping

import pytest

from app.cli import submitting
from app.cli.client import Json
from app.cli.failures import ApiError, NoAnswer
from app.cli.submitting import submit_once


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "_AGAIN_AFTER_S", 0)


class Server:
    """Accepts each submission, and loses the answers to so many."""

    def __init__(self, *, loses: int) -> None:
        self.loses = loses
        self.heard: list[Mapping[str, str]] = []

    async def send(self, headers: Mapping[str, str]) -> Json:
        self.heard.append(headers)
        if len(self.heard) <= self.loses:
            raise NoAnswer("http://x does not answer in time")
        return {"uuid": headers["X-Job-UUID"]}


async def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    server = Server(loses=1)
    job = await submit_once(server.send, {"X-Web-Hook": "http://y"})
    first, again = server.heard
    assert first == again
    assert first == {
        "X-Web-Hook": "http://y",
        "X-Job-UUID": job["uuid"],
        "Idempotency-Key": job["uuid"],
    }
    other = Server(loses=0)
    assert (await submit_once(other.send, {}))["uuid"] != job["uuid"]


async def test_no_answer_at_all_says_which_job_to_watch() -> None:
    server = Server(loses=2)
    with pytest.raises(NoAnswer) as lost:
        await submit_once(server.send, {})
    uuid = server.heard[0]["X-Job-UUID"]
    assert str(lost.value) == (
        "http://x does not answer in time; the job may have been accepted: "
        f"`vmclone watch {uuid}` tells"
    )


async def test_a_callers_own_key_is_the_way_to_its_job() -> None:
    server = Server(loses=2)
    with pytest.raises(NoAnswer, match="the same command again, with its key k, answers with it"):
        await submit_once(server.send, {"Idempotency-Key": "k"})
    assert server.heard == [{"Idempotency-Key": "k"}] * 2


async def test_a_refusal_is_not_sent_again() -> None:
    heard = []

    async def refuse(headers: Mapping[str, str]) -> Json:
        heard.append(headers)
        raise ApiError("no", status=400)

    with pytest.raises(ApiError, match=r"^no$"):
        await submit_once(refuse, {})
    assert len(heard) == 1


async def test_ctrl_c_meanwhile_says_which_job_to_watch(capsys: pytest.CaptureFixture[str]) -> None:
    heard: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    async def hang(headers: Mapping[str, str]) -> Json:
        heard.set_result(headers)
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    submission = asyncio.create_task(submit_once(hang, {}))
    uuid = (await heard)["X-Job-UUID"]
    submission.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submission
    assert f"`vmclone watch {uuid}` tells" in capsys.readouterr().err
