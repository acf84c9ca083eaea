"""Golden exchanges: what a client sends and reads, as files with placeholders.

A file is a list of steps. A step is an exchange:

    {"send": "PUT /zstack/v1/…", "headers": {…}, "body": …,
     "status": 202, "answers": {header: value}, "answer": JSON or text}

or {"engine": "<job>"}: the job ends before the next one; or {"hears": {header: value},
"body": …}: the job's callback arrives.

`<name>` stands for a text or a number. What stands for it is given, or it is what the first
answer that has it says there, a uuid unless it is named in `SHAPES`; from then on it is that, in
requests as well. `<date>` is any date. {"<json>": …} is a text that holds that JSON.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.engine import Engine
from tests.integration.api.conftest import Api

Call = tuple[Mapping[str, str], bytes]
EXCHANGES = Path(__file__).parent / "exchanges"
DATE = r"[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d{2}:\d{2} [AP]M"
SHAPES = {
    "mac": r"fa(?::[0-9a-f]{2}){5}",
    "number": r"\d+",
}
HOLE = re.compile(r"<([a-z0-9-]+)>")


class Golden:
    """The exchanges of one file, held against the service."""

    def __init__(self, api: Api, engine: Engine, **stands_for: Any) -> None:
        self.api = api
        self.engine = engine
        self.next_call: Callable[[], Awaitable[Call]] | None = None  # of the callbacks
        self.known: dict[str, Any] = {"base": str(api.make_url("")).rstrip("/"), **stands_for}

    async def plays(self, name: str) -> None:
        for number, step in enumerate(json.loads((EXCHANGES / f"{name}.json").read_text())):
            if "engine" in step:
                self.engine.start(self.filled(step["engine"]))
            elif "hears" in step:
                await self._hears(step, f"{name}[{number}]")
            else:
                await self._exchange(step, f"{name}[{number}]")

    async def _exchange(self, step: dict[str, Any], where: str) -> None:
        method, _, path = self.filled(step["send"]).partition(" ")
        body = step.get("body")
        answer = await self.api.request(
            method,
            path,
            headers=self.filled(step.get("headers", {})),
            data=None if body is None else json.dumps(self.filled(body)).encode(),
        )
        text = await answer.text()
        assert answer.status == step["status"], (where, text)
        for header, value in step.get("answers", {}).items():
            self.same(value, answer.headers.get(header), f"{where} {header}")
        is_text = isinstance(step["answer"], str)
        self.same(step["answer"], text if is_text else json.loads(text), where)

    async def _hears(self, step: dict[str, Any], where: str) -> None:
        assert self.next_call is not None
        headers, body = await self.next_call()
        for header, value in step["hears"].items():
            self.same(value, headers.get(header), f"{where} {header}")
        self.same(step["body"], json.loads(body), where)

    def filled(self, written: Any) -> Any:
        """`written` with what its placeholders stand for. KeyError where one is not known."""
        if isinstance(written, dict):
            return {key: self.filled(value) for key, value in written.items()}
        if isinstance(written, list):
            return [self.filled(value) for value in written]
        if isinstance(written, str):
            return HOLE.sub(lambda hole: str(self.known[hole[1]]), written)
        return written

    def same(self, written: Any, sent: Any, where: str) -> None:
        """A `schema` is compared in order: parsers depend on it."""
        if isinstance(written, dict) and list(written) == ["<json>"]:
            assert isinstance(sent, str), (where, sent)
            self.same(written["<json>"], json.loads(sent), where)
        elif isinstance(written, dict):
            assert isinstance(sent, dict), (where, sent)
            assert set(sent) == set(written), where
            if where.endswith(".schema"):
                assert list(sent) == list(written), where
            for key, value in written.items():
                self.same(value, sent[key], f"{where}.{key}")
        elif isinstance(written, list):
            assert isinstance(sent, list), (where, sent)
            assert len(sent) == len(written), (where, sent)
            for number, value in enumerate(written):
                self.same(value, sent[number], f"{where}[{number}]")
        elif isinstance(written, str) and HOLE.search(written):
            self._same_text(written, sent, where)
        else:
            assert (type(sent), sent) == (type(written), written), where

    def _same_text(self, written: str, sent: Any, where: str) -> None:
        names = HOLE.findall(written)
        pattern = "".join(
            self._pattern(part) if number % 2 else re.escape(part)
            for number, part in enumerate(HOLE.split(written))
        )
        text = sent if isinstance(sent, str) else json.dumps(sent)
        found = re.fullmatch(pattern, text)
        assert found, (where, written, sent)
        for name, value in zip(names, found.groups(), strict=True):
            if name != "date":
                self.known.setdefault(name, value)

    def _pattern(self, name: str) -> str:
        if name == "date":
            return f"({DATE})"
        if name in self.known:
            return f"({re.escape(str(self.known[name]))})"
        return f"({SHAPES.get(re.sub(r'-.*|[0-9]+$', '', name), '[0-9a-f]{32}')})"
